//! Bodies of the fuzz targets of the agent stream.
