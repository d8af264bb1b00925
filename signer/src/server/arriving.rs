//! A request's body, whose arrival is told to its connection's [`Activity`].

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};

use super::activity::{Activity, BodyGuard};

/// A body that is on its way until its end was read, or it is dropped.
#[derive(Debug)]
pub(super) struct Arriving {
    body: Incoming,
    coming: Option<BodyGuard>,
}

impl Arriving {
    /// The body, watched unless it is empty.
    pub(super) fn watched(body: Incoming, activity: &Arc<Activity>) -> Body {
        if body.is_end_stream() {
            return Body::new(body);
        }
        Body::new(Self { body, coming: Some(activity.body()) })
    }
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let over = matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.body.is_end_stream();
        if over && let Some(coming) = self.coming.take() {
            coming.arrived();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
