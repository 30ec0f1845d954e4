//! `build`: what a kustomize overlay of the policy repository builds, as `kustomize build` prints it.
//!
//! In: a folder of a policy repository · Out: YAML · Touches: through `App`

use crate::app::wiring::App;
use crate::engine::policy::built;
use crate::engine::policy::kustomize::path::resolve;
use crate::engine::policy::load::Invalid;
use crate::engine::policy::node::Place;
use crate::work::failure::Failure;
use crate::work::repository;

use super::args::BuildArgs;
use super::done::{Done, Text};

/// Builds the overlay. What is encrypted stays encrypted.
pub async fn build(app: &App, args: &BuildArgs) -> Result<Done, Failure> {
    let path = args.path.as_ref().or(app.settings.policy_path.as_ref()).map_or(".", String::as_str);
    let folder = resolve("", path, Place::default()).map_err(|fault| Failure::usage(fault.message))?;
    let repository = repository::open(app, &folder).await?;
    match built::print(&repository, &folder) {
        Ok(text) => Ok(Done::fine(Text(text))),
        Err(problems) => Err(Failure::invalid(&Invalid { problems })),
    }
}
