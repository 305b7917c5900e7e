//! Operations of several requests, each made from the answer to the one before.

use std::fmt;

use crate::exchange::{CarrierError, HttpRequest, HttpResponse};
use crate::op::{Op, OpResult, Step};

/// What follows from an answer.
pub enum Then<T> {
    /// Another request, and what its answer means.
    Send(HttpRequest, Link<T>),
    /// The end.
    Done(T),
}

/// Reads an answer and says what follows.
pub type Link<T> = Box<dyn FnOnce(HttpResponse) -> Result<Then<T>, CarrierError> + Send>;

impl<T> fmt::Debug for Then<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(request, _) => f.debug_tuple("Send").field(request).finish(),
            Self::Done(_) => f.write_str("Done"),
        }
    }
}

impl<T> Then<T> {
    /// Another request, and what its answer means.
    pub fn send(
        request: HttpRequest,
        read: impl FnOnce(HttpResponse) -> Result<Self, CarrierError> + Send + 'static,
    ) -> Self {
        Self::Send(request, Box::new(read))
    }
}

struct Chain<T>(Option<Then<T>>, Option<Link<T>>);

impl<T: Send> Op<T> for Chain<T> {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<T> {
        let then = match (self.0.take(), self.1.take(), answer) {
            (Some(first), _, _) => Ok(first),
            (None, Some(link), Some(answer)) => link(answer),
            _ => Err(CarrierError::Unavailable),
        };
        match then {
            Ok(Then::Send(request, link)) => {
                self.1 = Some(link);
                Step::Send(request)
            }
            Ok(Then::Done(done)) => Step::Done(done),
            Err(error) => Step::Fail(error),
        }
    }
}

/// An operation that begins with `request`.
///
/// # Errors
///
/// None; the form is that of the functions that begin operations.
pub fn chain<T: Send + 'static>(
    request: HttpRequest,
    read: impl FnOnce(HttpResponse) -> Result<Then<T>, CarrierError> + Send + 'static,
) -> OpResult<T> {
    Ok(Box::new(Chain(Some(Then::send(request, read)), None)))
}

struct Mapped<T, U>(Box<dyn Op<T>>, fn(T) -> U);

impl<T, U> Op<U> for Mapped<T, U> {
    fn next(&mut self, answer: Option<HttpResponse>) -> Step<U> {
        match self.0.next(answer) {
            Step::Send(request) => Step::Send(request),
            Step::Done(done) => Step::Done((self.1)(done)),
            Step::Fail(error) => Step::Fail(error),
        }
    }
}

/// The same operation, whose outcome is taken for another.
///
/// # Errors
///
/// That of the operation.
pub fn mapped<T: 'static, U: 'static>(op: OpResult<T>, to: fn(T) -> U) -> OpResult<U> {
    Ok(Box::new(Mapped(op?, to)))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};

    use super::*;

    fn answer(body: &'static str) -> Option<HttpResponse> {
        let (status, headers) = (StatusCode::OK, HeaderMap::new());
        Some(HttpResponse { status, headers, body: Bytes::from_static(body.as_bytes()) })
    }

    fn begin() -> Box<dyn Op<usize>> {
        let get = |url: &str| HttpRequest::get(url.to_owned());
        let op = chain(get("https://c.example/1"), move |first| {
            if first.body.is_empty() {
                return Err(CarrierError::NotFound);
            }
            let url = format!("https://c.example/{}", first.body.len());
            Ok(Then::send(get(&url), |second| Ok(Then::Done(second.body.len()))))
        });
        op.unwrap()
    }

    /// Each request follows from the answer before; an answer that leads nowhere, or none, ends it.
    #[test]
    fn requests_follow_from_answers() {
        let mut op = begin();
        assert!(matches!(op.next(None), Step::Send(request) if request.url.ends_with("/1")));
        assert!(
            matches!(op.next(answer("abc")), Step::Send(request) if request.url.ends_with("/3"))
        );
        assert!(matches!(op.next(answer("ab")), Step::Done(2)));
        let mut op = begin();
        op.next(None);
        assert!(matches!(op.next(answer("")), Step::Fail(CarrierError::NotFound)));
        let mut op = begin();
        op.next(None);
        assert!(matches!(op.next(None), Step::Fail(CarrierError::Unavailable)));
    }
}
