//! Where a stream waits while the module holds it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

use crate::LocalReply;

/// One direction of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Response,
}

/// What the module asked for outside the callback concerned.
#[derive(Debug, Default)]
pub(super) struct Gate {
    request_released: Cell<bool>,
    response_released: Cell<bool>,
    interrupts: RefCell<VecDeque<Interrupt>>,
    wakers: RefCell<Vec<Waker>>,
}

/// What ends a stream before its time.
#[derive(Debug)]
pub(super) enum Interrupt {
    /// Answer with this.
    Reply(LocalReply),
    /// Reset the stream.
    Close,
    /// The client's body is not HTTP.
    Malformed,
}

impl Gate {
    fn released(&self, direction: Direction) -> &Cell<bool> {
        match direction {
            Direction::Request => &self.request_released,
            Direction::Response => &self.response_released,
        }
    }

    fn wake(&self) {
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// The module lets this direction go on.
    pub(super) fn release(&self, direction: Direction) {
        self.released(direction).set(true);
        self.wake();
    }

    pub(super) fn interrupt(&self, interrupt: Interrupt) {
        self.interrupts.borrow_mut().push_back(interrupt);
        self.wake();
    }

    /// Ready once when this direction was released.
    pub(super) fn poll_released(&self, direction: Direction, cx: &Context<'_>) -> Poll<()> {
        if self.released(direction).take() {
            return Poll::Ready(());
        }
        self.wakers.borrow_mut().push(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn poll_interrupt(&self, cx: &Context<'_>) -> Poll<Interrupt> {
        if let Some(interrupt) = self.interrupts.borrow_mut().pop_front() {
            return Poll::Ready(interrupt);
        }
        let mut wakers = self.wakers.borrow_mut();
        if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
            wakers.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until this direction is released, or the stream is to end.
    pub(super) async fn wait(&self, direction: Direction) -> Result<(), Interrupt> {
        std::future::poll_fn(|cx| match self.poll_interrupt(cx) {
            Poll::Ready(interrupt) => Poll::Ready(Err(interrupt)),
            Poll::Pending => self.poll_released(direction, cx).map(Ok),
        })
        .await
    }

    pub(super) async fn interrupted(&self) -> Interrupt {
        std::future::poll_fn(|cx| self.poll_interrupt(cx)).await
    }
}
