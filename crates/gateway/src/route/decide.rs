//! What a node that does not own a room does with a request for it.

/// What the client asked for with `?route=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RouteMode {
    /// `307` to the owner.
    Redirect,
    /// An upgrade, one `redirect` push, close 4300.
    Frame,
    /// Through this node.
    Proxy,
}

/// What of a request matters for its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Ask {
    /// A WebSocket handshake, else plain HTTP.
    pub(crate) socket: bool,
    /// `?route=`.
    pub(crate) mode: Option<RouteMode>,
    /// `?hops=`: how often it was redirected already.
    pub(crate) hops: u32,
    /// It has an `Origin`: a browser's.
    pub(crate) origin: bool,
    /// It has an `Authorization`, which clients drop on a redirect to another port.
    pub(crate) authorization: bool,
    /// Another node relays it.
    pub(crate) relayed: bool,
    /// And vouches for that, so that it is believed to have kept the limits of its client.
    pub(crate) vouched: bool,
    /// It says that another node relays it, which no node vouches for: where that is a mistake, relaying it on
    /// would send it round for ever.
    pub(crate) unproven: bool,
}

/// The way of a request for a room that another node owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Answer `307`.
    Redirect,
    /// Accept the socket, push `redirect`, close.
    Frame,
    /// Relay it.
    Proxy,
    /// Say who owns the room, as far as is known: the relay goes on.
    Misdirected,
}

/// Redirects that a request may have seen before it is relayed, so that nodes that disagree on the owner do
/// not send a client round for ever.
const HOPS_MAX: u32 = 3;

/// The way of a request for a room that another node owns.
pub(crate) fn decide(ask: Ask) -> Way {
    if ask.relayed {
        return Way::Misdirected;
    }
    if ask.unproven {
        return Way::Redirect;
    }
    if ask.hops > HOPS_MAX {
        return Way::Proxy;
    }
    match (ask.mode, ask.socket) {
        (Some(RouteMode::Redirect), _) => Way::Redirect,
        (Some(RouteMode::Proxy), _) => Way::Proxy,
        (Some(RouteMode::Frame), true) => Way::Frame,
        (None, true) if ask.origin => Way::Frame,
        (None, true) => Way::Redirect,
        // Plain HTTP has no frames: it takes its default.
        (_, false) if ask.origin || ask.authorization => Way::Proxy,
        (_, false) => Way::Redirect,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decide_by_protocol_table() {
        let plain = Ask::default();
        let socket = Ask { socket: true, ..plain };
        let named = |ask: Ask, mode| Ask { mode: Some(mode), ..ask };
        let browser = |ask: Ask| Ask { origin: true, ..ask };
        let with_token = |ask: Ask| Ask { authorization: true, ..ask };
        let table = [
            (socket, Way::Redirect),
            (browser(socket), Way::Frame),
            (with_token(socket), Way::Redirect),
            (named(socket, RouteMode::Frame), Way::Frame),
            (named(socket, RouteMode::Proxy), Way::Proxy),
            (named(browser(socket), RouteMode::Redirect), Way::Redirect),
            (named(browser(socket), RouteMode::Proxy), Way::Proxy),
            (plain, Way::Redirect),
            (browser(plain), Way::Proxy),
            (with_token(plain), Way::Proxy),
            (named(browser(plain), RouteMode::Redirect), Way::Redirect),
            (named(with_token(plain), RouteMode::Redirect), Way::Redirect),
            (named(plain, RouteMode::Proxy), Way::Proxy),
            (named(plain, RouteMode::Frame), Way::Redirect),
            (named(browser(plain), RouteMode::Frame), Way::Proxy),
            (Ask { hops: 3, ..plain }, Way::Redirect),
            (Ask { hops: 4, ..plain }, Way::Proxy),
            (Ask { hops: 4, ..named(socket, RouteMode::Frame) }, Way::Proxy),
            (Ask { relayed: true, ..plain }, Way::Misdirected),
            (Ask { unproven: true, hops: 9, ..named(with_token(plain), RouteMode::Proxy) }, Way::Redirect),
            (Ask { relayed: true, hops: 9, ..named(socket, RouteMode::Proxy) }, Way::Misdirected),
        ];
        for (ask, way) in table {
            assert_eq!(decide(ask), way, "{ask:?}");
        }
    }
}
