//! Asking a peer address before this node has an identity.

use std::time::Duration;

use bytes::Bytes;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::link::connect_to;
use super::{PeerError, header};
use crate::wire::Body;
use crate::wire::pb::Envelope;

/// Asks whoever listens at a peer address (`host:port`). Only messages of the layer above can be asked so.
///
/// # Errors
/// Nobody answers there in time, or it refuses.
pub async fn ask_address(
    address: &str,
    secret: Option<&str>,
    body: Bytes,
    timeout: Duration,
) -> Result<Bytes, PeerError> {
    let peer = || address.to_owned();
    let asking = async {
        let mut client = connect_to(address).await.map_err(|why| PeerError::Unreachable(peer(), why))?;
        let (out, requests) = tokio::sync::mpsc::channel(1);
        let mut request = tonic::Request::new(ReceiverStream::new(requests));
        if let Some(secret) = secret {
            let value = secret
                .parse()
                .map_err(|_| PeerError::Refused(peer(), "the secret is not plain ASCII".to_owned()))?;
            request.metadata_mut().insert(header::SECRET, value);
        }
        let refused = |status: tonic::Status| match status.code() {
            Code::Unauthenticated | Code::FailedPrecondition | Code::InvalidArgument => {
                PeerError::Refused(peer(), status.message().to_owned())
            }
            // It listens but does not serve yet, or went away meanwhile.
            _ => PeerError::Unreachable(peer(), status.message().to_owned()),
        };
        let mut answers = client.pipe(request).await.map_err(refused)?.into_inner();
        let envelope = Envelope { call: 1, group: 0, to: 0, body: Some(Body::Ask(body)) };
        if out.send(envelope).await.is_err() {
            return Err(PeerError::Unreachable(peer(), "the connection broke".to_owned()));
        }
        match answers.message().await.map_err(refused)?.and_then(|envelope| envelope.body) {
            Some(Body::Answered(answer)) => Ok(answer),
            Some(Body::Failed(why)) => Err(PeerError::Refused(peer(), why)),
            _ => Err(PeerError::Unreachable(peer(), "it closed the stream without an answer".to_owned())),
        }
    };
    tokio::time::timeout(timeout, asking).await.unwrap_or_else(|_| Err(PeerError::Timeout(peer(), timeout)))
}
