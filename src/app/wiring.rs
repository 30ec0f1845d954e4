//! Which adapter stands behind which door. No other room names adapters.
//!
//! In: `Settings`, locations · Out: ports, targets, states · Touches: everything

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::access;
use super::settings::{Keys, Settings};
use crate::adapters::clock::SystemClock;
use crate::adapters::git::address::Address;
use crate::adapters::git::repositories::Repositories;
use crate::adapters::http::Client;
use crate::adapters::kube::connect::{self, ApiServer};
use crate::adapters::object_store::connect as object_store;
use crate::adapters::otlp::{self, Collector, Exporter};
use crate::domain::identity::is_cluster_name;
use crate::domain::location::{ArchiveTarget, LocationSpec, MirrorTarget};
use crate::domain::object::{Manifest, Placed, Resource};
use crate::domain::policy::PolicySpec;
use crate::engine::archive::store;
use crate::engine::backup::target::Target;
use crate::engine::clean::encrypt::{self, DigestKey};
use crate::engine::mirror::update;
use crate::engine::seal::age;
use crate::engine::seal::age::{Identities, Recipients};
use crate::ports::bucket::Bucket;
use crate::ports::clock::Clock;
use crate::ports::cluster::{self, Mode, Reader, Writer};
use crate::ports::exec::Exec;
use crate::ports::git::{self, Git, Reference, Remote, Tree};
use crate::ports::http::Http;
use crate::ports::trace::Traces;

/// Why a door does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Kubeconfig or context is wrong.
    #[error("cannot connect to a cluster")]
    Connect(#[from] connect::Error),
    /// In a pod there is no context to take the name from.
    #[error("the cluster has no name here; give it one with --cluster-name")]
    NoName,
    /// The name could not stand in an archive.
    #[error("{0:?} cannot name a cluster: use up to 253 letters, digits, `.`, `_` and `-`")]
    BadName(String),
    /// The cluster refused a read that a door needs.
    #[error("cannot read {what}")]
    Cluster {
        /// What was read.
        what: String,
        /// Why not.
        source: cluster::Error,
    },
    /// The Secret a location names is not there.
    #[error("cannot use location {location}: there is no Secret {secret}")]
    NoSecret {
        /// The location.
        location: String,
        /// Namespace and name.
        secret: String,
    },
    /// A key or credential cannot be used.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// A recipient of a location cannot be used.
    #[error("cannot use the recipients of location {location}")]
    Recipients {
        /// The location.
        location: String,
        /// Why.
        source: age::Error,
    },
    /// The policy's `encrypt` rules cannot be used.
    #[error("cannot use the encrypt rules of the policy")]
    Encrypt(#[source] encrypt::Error),
    /// The archive's URL, endpoint or credentials are wrong.
    #[error("cannot use location {location}")]
    Archive {
        /// The location.
        location: String,
        /// Why.
        source: object_store::Error,
    },
    /// The certificate authorities of the collector cannot be read.
    #[error("cannot use the file that OTEL_EXPORTER_OTLP_CERTIFICATE names")]
    Certificate(#[source] access::Error),
    /// The collector cannot be told.
    #[error("cannot export traces")]
    Traces(#[from] otlp::Error),
    /// The repository cannot be opened.
    #[error("cannot open {what}")]
    Git {
        /// The location or the policy repository.
        what: String,
        /// Why.
        source: git::Error,
    },
}

/// The name, if it can stand in every location.
fn named(name: String) -> Result<String, Error> {
    if is_cluster_name(&name) { Ok(name) } else { Err(Error::BadName(name)) }
}

/// A cluster and the name it goes by.
#[derive(Clone)]
pub struct Connected {
    /// Reads.
    pub reader: Arc<dyn Reader>,
    /// Writes.
    pub writer: Arc<dyn Writer>,
    /// Runs commands in containers.
    pub exec: Arc<dyn Exec>,
    /// Name in mirrors and archives.
    pub name: String,
}

/// Everything that is wired once.
pub struct App {
    /// What was asked for.
    pub settings: Settings,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Services that hooks ask.
    pub http: Arc<dyn Http>,
    /// Who follows what is done; absent: nobody.
    pub traces: Option<Arc<dyn Traces>>,
    cluster: OnceCell<Connected>,
}

impl App {
    /// Wires the real world; connects to nothing yet.
    pub fn new(settings: Settings) -> Self {
        let (clock, http) = (Arc::new(SystemClock), Arc::new(Client));
        Self { settings, clock, http, traces: None, cluster: OnceCell::new() }
    }

    /// Wires a cluster and clock that are there already.
    pub fn with_cluster(settings: Settings, clock: Arc<dyn Clock>, cluster: Connected) -> Self {
        let cluster = OnceCell::new_with(Some(cluster));
        Self { settings, clock, http: Arc::new(Client), traces: None, cluster }
    }

    /// Lets a collector follow, if there is one to be told; see [`Settings::traces`].
    pub fn trace(&mut self, endpoint: Option<&str>, cluster: &str, replica: &str) -> Result<(), Error> {
        let Some(endpoint) = self.settings.traces(endpoint) else { return Ok(()) };
        let read = |file: &str| Ok((file.to_owned(), access::read(Path::new(file))?));
        let file = self.settings.variable("OTEL_EXPORTER_OTLP_CERTIFICATE");
        let authorities = file.map(read).transpose().map_err(Error::Certificate)?;
        let to =
            Collector { endpoint, authorities, cluster: cluster.to_owned(), replica: replica.to_owned() };
        self.traces = Some(Arc::new(Exporter::start(&to, self.clock.clone())?));
        Ok(())
    }

    /// The cluster; connects on first use.
    pub async fn cluster(&self) -> Result<&Connected, Error> {
        self.cluster.get_or_try_init(|| self.connect()).await
    }

    async fn connect(&self) -> Result<Connected, Error> {
        let settings = &self.settings;
        let access =
            connect::Access { kubeconfig: settings.kubeconfig.clone(), context: settings.context.clone() };
        let cluster = Arc::new(ApiServer::connect(&access).await?);
        let context = cluster.context().map(str::to_owned);
        let name = settings.cluster_name.clone().or(context).ok_or(Error::NoName)?;
        let name = named(name)?;
        Ok(Connected { reader: cluster.clone(), exec: cluster.clone(), writer: cluster, name })
    }

    /// Name of the cluster, without connecting where it was given.
    pub async fn cluster_name(&self) -> Result<String, Error> {
        match &self.settings.cluster_name {
            Some(name) => named(name.clone()),
            None => Ok(self.cluster().await?.name.clone()),
        }
    }

    /// The identities that were given, perhaps none.
    pub fn identities(&self) -> Result<Arc<Identities>, Error> {
        Ok(Arc::new(access::identities(&self.settings)?))
    }

    /// Where the policy repository is, without a password.
    pub fn policy_place(&self) -> String {
        let place = &self.settings.policy_repo;
        Address::parse(place).map_or_else(|_| place.clone(), |address| address.shown().to_owned())
    }

    /// The policy repository at a branch, tag or commit, or its default branch; only for URLs.
    pub async fn policy_tree(&self, reference: Option<&str>) -> Result<Box<dyn Tree>, Error> {
        let reference = match reference {
            Some(name) => Reference::Any(name.to_owned()),
            None => Reference::Default,
        };
        let remote = Remote { url: self.settings.policy_repo.clone(), reference, ca_cert: None };
        let git = self.repositories(None);
        let what = || "the policy repository".to_owned();
        let tree = git.open(&remote).await.map_err(|source| Error::Git { what: what(), source })?;
        if let Some(file) = &self.settings.allowed_signers {
            let allowed = access::signers(file)?;
            let signer = tree
                .signer(&allowed, self.clock.now())
                .map_err(|source| Error::Git { what: what(), source })?;
            tracing::debug!(signer, "the commit is signed");
        }
        Ok(tree)
    }

    /// The repository of a mirror at a commit, tag or branch.
    pub async fn mirror_tree(
        &self,
        location: &str,
        spec: &LocationSpec,
        target: &MirrorTarget,
        reference: &str,
    ) -> Result<Box<dyn Tree>, Error> {
        let git = self.repositories(self.secret(location, spec).await?.as_ref());
        let reference = Reference::Any(reference.to_owned());
        let remote = Remote { url: target.url.clone(), reference, ca_cert: target.ca_cert.clone() };
        let what = format!("location {location}");
        git.open(&remote).await.map_err(|source| Error::Git { what, source })
    }

    /// The bucket of an archive.
    pub async fn bucket(
        &self,
        location: &str,
        spec: &LocationSpec,
        target: &ArchiveTarget,
    ) -> Result<Arc<dyn Bucket>, Error> {
        let credentials = access::bucket(&self.settings, self.secret(location, spec).await?);
        let authority = target.ca_cert.as_deref().map(|file| access::read(Path::new(file))).transpose()?;
        let opened = object_store::connect(target, &credentials, authority.as_deref().map(str::as_bytes));
        let bucket = opened.map_err(|source| Error::Archive { location: location.to_owned(), source })?;
        Ok(Arc::new(bucket))
    }

    /// A location as the target of a backup.
    pub async fn target(
        &self,
        location: &str,
        spec: &LocationSpec,
        policy: &PolicySpec,
    ) -> Result<Option<Target>, Error> {
        let recipients = recipients(location, spec)?;
        if let Some(target) = &spec.archive {
            let bucket = self.bucket(location, spec, target).await?;
            let part_bytes = target.part_size_mib.map_or(store::PART_BYTES, |mib| u64::from(mib) << 20);
            let to = store::Destination { bucket, access: spec.access_mode, recipients, part_bytes };
            return Ok(Some(Target::Archive { location: location.to_owned(), to }));
        }
        let Some(target) = &spec.mirror else { return Ok(None) };
        let to = update::Destination {
            git: self.repositories(self.secret(location, spec).await?.as_ref()),
            target: target.clone(),
            access: spec.access_mode,
            recipients,
            key: self.digest_key().await?,
            rules: encrypt::Rules::new(&policy.encrypt).map_err(Error::Encrypt)?,
        };
        Ok(Some(Target::Mirror { location: location.to_owned(), to: Box::new(to) }))
    }

    /// Makes an empty bare repository with the branch `main`.
    pub fn init_bare(&self, folder: &Path) -> Result<(), Error> {
        let what = folder.display().to_string();
        crate::adapters::git::repositories::init_bare(folder).map_err(|source| Error::Git { what, source })
    }

    async fn server_uid(&self) -> Result<String, Error> {
        let what = "the namespace kube-system".to_owned();
        let server = self.cluster().await?.reader.server().await;
        Ok(server.map_err(|source| Error::Cluster { what, source })?.uid)
    }

    async fn digest_key(&self) -> Result<DigestKey, Error> {
        match self.settings.keys {
            Keys::Folder => Ok(access::digest_key(&self.settings, &self.server_uid().await?)?),
            Keys::Cluster => self.shared_digest_key().await,
        }
    }

    /// The key that all replicas share; the first one that needs it makes it.
    async fn shared_digest_key(&self) -> Result<DigestKey, Error> {
        let (home, name) = (&self.settings.namespace, access::DIGEST_SECRET.0);
        let cannot = |source| Error::Cluster { what: format!("Secret {home}/{name}"), source };
        let cluster = self.cluster().await?;
        if let Some(found) = cluster.reader.get(&secrets(), Some(home), name).await.map_err(cannot)? {
            return Ok(access::digest_key_in(&found)?);
        }
        let fresh = Manifest::parse(access::digest_secret(home));
        let fresh = fresh.map_err(|e| cannot(cluster::Error::Garbled(e.to_string())))?;
        match cluster.writer.create(&secrets(), &fresh, Mode::Real).await {
            Ok(_) => Ok(access::digest_key_in(&fresh)?),
            Err(cluster::Error::AlreadyExists) => {
                let found = cluster.reader.get(&secrets(), Some(home), name).await.map_err(cannot)?;
                let gone = || cannot(cluster::Error::NotFound(name.to_owned()));
                Ok(access::digest_key_in(&found.ok_or_else(gone)?)?)
            }
            Err(error) => Err(cannot(error)),
        }
    }

    fn repositories(&self, secret: Option<&BTreeMap<String, String>>) -> Arc<dyn Git> {
        Arc::new(Repositories::new(self.settings.cache.join("git"), access::git(&self.settings, secret)))
    }

    /// The values of the Secret that a location names.
    async fn secret(
        &self,
        location: &str,
        spec: &LocationSpec,
    ) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(named) = &spec.credentials_ref else { return Ok(None) };
        let place = format!("{}/{}", self.settings.namespace, named.secret_name);
        let reader = &self.cluster().await?.reader;
        let found = reader.get(&secrets(), Some(&self.settings.namespace), &named.secret_name).await;
        let found = found.map_err(|source| Error::Cluster { what: format!("Secret {place}"), source })?;
        let missing = || Error::NoSecret { location: location.to_owned(), secret: place };
        Ok(Some(access::secret_values(&found.ok_or_else(missing)?)?))
    }
}

/// The recipients of a location.
pub fn recipients(location: &str, spec: &LocationSpec) -> Result<Recipients, Error> {
    Recipients::parse(&spec.recipients)
        .map_err(|source| Error::Recipients { location: location.to_owned(), source })
}

fn secrets() -> Resource {
    Resource::well_known("v1", "Secret", "secrets", Placed::InNamespaces)
}
