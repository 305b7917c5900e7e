//! WebSocket legs, run by the workers.
