//! Power cuts.

use super::{Done, Field, Nemesis, Target};
use crate::check::POWER_CUT;

/// Cuts the power of nodes at once; it comes back, and they are started, in the end.
#[derive(Debug, Clone, Copy)]
pub struct PowerOff(pub Target);

impl Nemesis for PowerOff {
    fn name(&self) -> &'static str {
        POWER_CUT
    }

    fn target(&self) -> Target {
        self.0
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let cut = field.cluster.cut_power(nodes).await?;
            field.recorder.count("bytes_dropped", cut.bytes_dropped);
            Ok(format!("{} bytes dropped", cut.bytes_dropped))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.restart().await?;
            Ok("power is back".to_owned())
        })
    }
}
