//! SIP without I/O: messages, transactions, dialogs, offers and answers.

pub mod auth;
pub mod custom;
pub mod dialog;
pub mod endpoint;
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod fuzz_calls;
pub mod headers;
pub mod lex;
pub mod locate;
pub mod message;
pub mod method;
pub mod offer_answer;
mod parse;
pub mod refer_to;
pub mod registrar;
pub mod registration;
pub mod replaces;
pub mod sdp;
pub mod session_timer;
pub mod sipfrag;
pub mod stream;
pub mod targets;
pub mod transaction;
pub mod uri;
pub mod validate;
pub mod write;

pub use headers::{CSeq, HeaderError, HeaderName, NameAddr, Params, Via};
pub use message::{Fault, Message, ParseError};
pub use method::Method;
pub use stream::{StreamDecoder, StreamError, StreamItem};
pub use uri::{Host, Scheme, Uri, UriError};
pub use validate::{Refusal, validate_request, validate_response};
pub use write::{BuildError, RequestBuilder, ResponseBuilder};
