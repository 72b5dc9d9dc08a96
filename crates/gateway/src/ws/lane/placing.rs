//! Creates that ask where the room is to be.

use std::time::Instant;

use roomkeeper_protocol::{Command, Placement};

use super::{Lane, Seat, Ticket};
use crate::failure;

impl Lane {
    /// Puts the room of a create where that asks for, unless the room is settled. The lane's seat is then of the right
    /// shard, or none is. `None`: the command is answered.
    pub(super) async fn place(
        &mut self,
        command: Command,
        ticket: Ticket,
        deadline: Instant,
    ) -> Option<(Command, Ticket)> {
        let asks =
            matches!(&command, Command::Create(create) if create.placement == Some(Placement::LeastLoaded));
        // A session's relay has done so.
        if !asks || self.relays_no_more() {
            return Some((command, ticket));
        }
        let shard = match self.conn.edge.whereabouts.place(&self.room, deadline).await {
            Ok(shard) => shard,
            Err(error) => {
                ticket.answer(Err(error));
                return None;
            }
        };
        if let Some(seat) = self.seat.as_mut().filter(|seat| seat.tenure().shard != shard) {
            if self.conn.single {
                self.create_elsewhere(command, ticket, deadline).await;
                return None;
            }
            seat.give_up();
            Box::pin(self.lose()).await;
        }
        Some((command, ticket))
    }

    /// Has the room created in the shard that it was put in. The client has the answer before it hears that its room
    /// socket is at the wrong place.
    async fn create_elsewhere(&mut self, command: Command, ticket: Ticket, deadline: Instant) {
        let here = self.seat.take();
        let mut answer = self.take_seat(None, deadline).await.map(drop);
        let there = std::mem::replace(&mut self.seat, here);
        let created = match (&mut answer, there) {
            (Ok(()), Some(Seat::Local(mut seat))) => seat.ask(&self.conn, command).await,
            (Ok(()), Some(Seat::Remote(mut seat))) => {
                let created = seat.call(command).await;
                seat.abandon().await;
                created
            }
            (Ok(()), None) => Err(failure::no_owner()),
            (Err(error), _) => Err(error.clone()),
        };
        ticket.answer(created);
        if let Some(seat) = &mut self.seat {
            seat.give_up();
        }
    }
}
