//! What a load balancer does: it sends clients only to nodes that say they are ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chaos_tests::probe::Http;
use parking_lot::Mutex;
use tokio::time::sleep;

/// Between two looks at each node.
const LOOK: Duration = Duration::from_millis(50);

/// The nodes that were ready when they were asked last.
#[derive(Clone)]
pub(crate) struct Ready {
    urls: Arc<Mutex<Vec<String>>>,
    turn: Arc<AtomicUsize>,
}

impl Ready {
    /// Looks at these nodes until the test ends.
    pub(crate) fn watch(nodes: Vec<String>) -> Self {
        let this = Self { urls: Arc::new(Mutex::new(nodes.clone())), turn: Arc::default() };
        for node in nodes {
            let urls = Arc::clone(&this.urls);
            let http = Http::new(node.clone()).unwrap();
            tokio::spawn(async move {
                loop {
                    let ready = http.get("/readyz").await.is_ok_and(|answer| answer.status == 200);
                    {
                        let mut urls = urls.lock();
                        urls.retain(|url| *url != node);
                        if ready {
                            urls.push(node.clone());
                        }
                    }
                    sleep(LOOK).await;
                }
            });
        }
        this
    }

    /// One of them, in turn.
    pub(crate) async fn pick(&self) -> String {
        loop {
            {
                let urls = self.urls.lock();
                let turn = self.turn.fetch_add(1, Ordering::Relaxed);
                if let Some(url) = urls.get(turn % urls.len().max(1)) {
                    return url.clone();
                }
            }
            sleep(LOOK).await;
        }
    }
}
