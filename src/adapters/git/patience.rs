//! How long libgit2 waits for a server that does not answer. Its own default is for ever, and a wait cannot be given up from outside.
//!
//! In: nothing · Out: nothing · Touches: the settings of libgit2 in this process

use std::sync::Once;
use std::time::Duration;

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(20);
/// The longest silence of a server. Some count objects for a while before they send the first one.
const SILENCE: Duration = Duration::from_mins(1);

static SET: Once = Once::new();

/// Sets both times, before the first remote is opened.
pub fn set() {
    SET.call_once(|| {
        let millis = |time: Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: libgit2 keeps these in plain numbers of the process, which it reads when it connects. `Once` lets one thread write
        // them, and nobody connects before this has returned, because every repository of this adapter is opened after it.
        #[expect(unsafe_code, reason = "git2 has no safe way to set them")]
        let set = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(millis(CONNECT))
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(millis(SILENCE)))
        };
        if let Err(error) = set {
            tracing::warn!("cannot limit how long Git servers are waited for: {error}");
        }
    });
}
