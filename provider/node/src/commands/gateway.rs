//! `provider gateway`: the light nodes as the running daemon sees them.

use anyhow::{Context as _, Result};
use iono_host::config::Config;

use super::output;
use crate::cli::Common;
use crate::control;
use crate::gateway::LightNode;

/// Shows them.
///
/// # Errors
/// When no daemon answers, or it is no gateway.
pub async fn run(common: &Common, config: &Config) -> Result<()> {
    let mut status = control::ask_status(&config.data_dir).await?;
    let nodes: Option<Vec<LightNode>> = serde_json::from_value(status["light_nodes"].take())?;
    let nodes = nodes.context("this provider is no gateway; write [subnet] with listen, and restart it")?;
    output::result(common, &nodes, |nodes| {
        let rows = nodes.iter().map(|node| {
            let offer = &node.offer;
            let state = match (node.lost_since, &offer.away) {
                (Some(since), _) => format!("lost since {since}"),
                (None, Some(why)) => format!("rests: {why}"),
                (None, None) => "here".to_owned(),
            };
            let free = format!("{} m, {} MiB, {} GPUs", offer.cpu, offer.memory, offer.gpus);
            let did = format!("{} begun, {} dropped", node.begun, node.dropped);
            [node.fizz.to_string(), state, free, node.leases.to_string(), did, node.software.clone()]
        });
        output::table(["fizz", "state", "free", "leases", "since the start", "software"], rows)
    })?;
    Ok(())
}
