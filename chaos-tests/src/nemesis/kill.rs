//! `kill -9`.

use super::{Done, Field, Nemesis, Target};

/// Kills nodes at once; they are started again in the end.
#[derive(Debug, Clone, Copy)]
pub struct Kill(pub Target);

impl Nemesis for Kill {
    fn name(&self) -> &'static str {
        "kill"
    }

    fn target(&self) -> Target {
        self.0
    }

    fn begin<'a>(&'a mut self, field: &'a mut Field, nodes: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.cluster.kill9_at_once(nodes).await?;
            field.recorder.count("kills", nodes.len() as u64);
            Ok(String::new())
        })
    }

    fn end<'a>(&'a mut self, field: &'a mut Field, _: &'a [usize]) -> Done<'a> {
        Box::pin(async move {
            field.restart().await?;
            Ok("started again".to_owned())
        })
    }
}
