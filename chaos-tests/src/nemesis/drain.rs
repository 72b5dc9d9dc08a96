//! SIGTERM: a node that is asked to go, and hands over what it owns.

use std::time::Instant;

use super::{Done, Field, Nemesis, Target};

/// Stops nodes one after the other, in good order; they are started again in the end.
#[derive(Debug, Clone, Copy)]
pub struct Drain(pub Target);

impl Nemesis for Drain {
    fn name(&self) -> &'static str {
        "drain"
    }

    fn target(&self) -> Target {
        self.0
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            let begun = Instant::now();
            for k in nodes {
                field.cluster.terminate(*k)?;
                field.cluster.wait_stopped(*k).await?;
            }
            Ok(format!("stopped after {:?}", begun.elapsed()))
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.restart().await?;
            Ok("started again".to_owned())
        })
    }
}
