//! SIGSTOP: the kernel still accepts connections for a node that does nothing. SIGCONT makes it a zombie that does
//! not know yet.

use super::{Done, Field, Nemesis, Target};

/// Stops nodes for a while.
#[derive(Debug, Clone, Copy)]
pub struct Pause(pub Target);

impl Nemesis for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn target(&self) -> Target {
        self.0
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            nodes.iter().try_for_each(|k| field.cluster.pause(*k))?;
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            nodes.iter().try_for_each(|k| field.cluster.resume(*k))?;
            Ok("resumed".to_owned())
        })
    }
}
