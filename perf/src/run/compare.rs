//! x
/// x
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {}
/// x
pub(crate) fn run(_: &Args) -> crate::error::Result<bool> {
    Ok(true)
}
