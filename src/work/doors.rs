//! The doors of a restore, as a command opens them.
//!
//! In: `App` · Out: `Reach` · Touches: through `App`

use crate::app::wiring::App;
use crate::engine::reach::{Progress, Reach};

use super::failure::Failure;

/// The doors of the cluster, and who hears how far it is.
pub async fn reach<'a>(app: &'a App, progress: &'a dyn Progress) -> Result<Reach<'a>, Failure> {
    let cluster = app.cluster().await.map_err(|e| Failure::of(&e))?;
    let reach = Reach::new(cluster.reader.as_ref(), cluster.writer.as_ref(), app.clock.as_ref());
    Ok(Reach { progress, ..reach })
}
