//! Backstay keeps a Kubernetes cluster restorable from Git.
//!
//! This file is the floor plan. A room may use only rooms listed above it; `floors.rs` is the test.

/// FLOOR 1: the nouns. No I/O, no async, no clock, no randomness.
pub mod domain {
    pub mod duration; // how long
    pub mod identity; // names of snapshots, policies, clusters
    pub mod object; // an object of the cluster, unstructured
    pub mod version; // versions of its API
    pub mod path; // where in an object
    pub mod cel; // a condition on an object
    pub mod field; // what is wrong with one field
    pub mod problem; // and where in which file
    pub mod pattern; // globs for kinds and names
    pub mod labels; // label selectors
    pub mod retention; // how long snapshots are kept
    pub mod schedule; // when a policy runs
    pub mod selection; // which objects are meant
    pub mod hook; // what runs around a backup or restore
    pub mod hook_template; // the same with parameters
    pub mod hook_report; // and what came of it
    pub mod policy; // what is wanted saved
    pub mod ignore; // what stays out of its mirror
    pub mod location; // where snapshots go
    pub mod transform; // changes on the way back
    pub mod conflict; // what exists already
    pub mod fixup; // what is mended afterwards
    pub mod owners; // who else manages the objects
    pub mod restore_request; // what is wanted back
    pub mod names; // which fields name other objects
    pub mod catalog; // what is known about kinds
    pub mod rule; // one piece of that knowledge
    pub mod tool; // a tool that manages objects
    pub mod rules; // all of it, compiled
    pub mod related; // which cluster-scoped objects come along
    pub mod document; // one document of a policy repository
    pub mod hook_library; // hook templates that are built in
    pub mod schema; // how a document may look
    pub mod reference; // the same for people
    pub mod mention; // old names that still stand
    pub mod report; // what happened
    pub mod restore_run; // how far a restore is
    pub mod snapshot; // one finished backup
    pub mod status; // what is shown of a document
    pub mod snapshot_view; // a snapshot as a custom resource
    pub mod repository_view; // where policy comes from, as one
    pub mod custom_resource; // definitions of all of them
    pub mod receiver; // who is told of news
    pub mod change; // what is different
    pub mod coverage; // what no policy covers
}

/// FLOOR 2: the doors to the world. Traits only.
pub mod ports {
    pub mod bucket; // object storage
    pub mod clock; // time and chance
    pub mod cluster; // an API server
    pub mod exec; // containers
    pub mod http; // services that hooks ask
    pub mod git; // Git repositories
    pub mod trace; // who follows what was done
}

/// FLOOR 3: the verbs, in the order of the data.
pub mod engine {
    pub mod pool; // heavy computing, beside the event loop
    pub mod yaml; // text for people
    pub mod retry; // again, but not for ever
    pub mod reach; // the doors of a cluster that is written to
    pub mod journal; // what must not be forgotten, in the cluster
    /// Nothing secret in the clear.
    pub mod seal {
        pub mod age; // sealed to public keys
        pub mod sops_value; // one encrypted value
        pub mod sops; // one encrypted document
    }
    /// From Git to what is wanted.
    pub mod policy {
        pub mod node; // a document that knows the place of each field
        pub mod source; // its text
        pub mod check; // what does not fit a schema
        /// Overlays.
        pub mod kustomize {
            pub mod path; // where a path leads
            pub mod says; // what a kustomization may say
            pub mod file; // what it says
            pub mod shelf; // the files it may use
            pub mod facts; // built-in kinds
            pub mod object; // what an object is and was called
            pub mod select; // which objects are meant
            pub mod merge; // a strategic merge patch
            pub mod json_patch; // a JSON patch
            pub mod fields; // the way to a field
            pub mod marks; // labels and annotations
            pub mod generate; // config maps and secrets
            pub mod patch; // all patches
            pub mod namespace; // one for all
            pub mod rename; // prefixes and suffixes
            pub mod images; // of containers
            pub mod replace; // values copied
            pub mod references; // names that follow
            pub mod order; // of the objects
            pub mod build; // all of it
            pub mod scalar; // a value as it is printed
            pub mod emit; // documents as they are printed
        }
        pub mod origin; // where files come from
        pub mod repository; // those that are read
        pub mod opened; // the documents of one file, decrypted
        pub mod built; // overlays, built
        pub mod documents; // all that are ours
        pub mod load; // what is wanted, without errors
        pub mod receivers; // who is told of news
    }
    /// From the cluster.
    pub mod gather {
        pub mod listing; // whole lists, for those who look something up
        pub mod plan; // decides what is listed
        pub mod fetch; // one list to its end
        pub mod collect; // all of them
    }
    /// Around it: what runs before and after.
    pub mod hooks {
        pub mod calm; // lets them come to an end
        pub mod doors; // what hooks act through
        pub mod pod; // what they need to know of a pod
        pub mod container; // in which container
        pub mod velero; // what pods ask for by annotation
        pub mod targets; // what a hook runs for
        pub mod survey; // what there is
        pub mod wrapped; // a command that can be ended
        pub mod attempt; // what an attempt came to
        pub mod command; // runs it
        pub mod job; // runs a Job
        pub mod replicas; // what a workload had before
        pub mod scale; // down and back
        pub mod step; // a hook on one target
        pub mod mask; // secrets in what was printed
        pub mod reveal; // what of it may be seen
        pub mod moment; // all hooks of a moment
        pub mod debt; // what is owed once the first has run
        pub mod around; // those before and those after
    }
    /// To what may be kept and shown.
    pub mod clean {
        pub mod newer; // forms of newer versions
        pub mod rewrite; // changes that data cannot say
        pub mod sanitize; // what is stored of an object
        pub mod hide; // what nobody may see
        pub mod encrypt; // what a mirror may show
    }
    /// Into Git.
    pub mod mirror {
        pub mod path; // where an object stands in a mirror
        pub mod state; // what a mirror knows of its runs
        pub mod tip; // the newest commit of a mirror
        pub mod blobs; // objects become blobs
        pub mod change; // what a commit does to it
        pub mod commit; // the commit
        pub mod update; // one backup, one commit
    }
    /// Into object storage.
    pub mod archive {
        pub mod layout; // where everything stands in object storage
        pub mod part; // one sealed file of a snapshot
        pub mod owner; // which cluster writes under a name
        pub mod store; // writes a snapshot
    }
    /// A whole backup.
    pub mod backup {
        pub mod target; // one location of a backup
        pub mod flow; // a backup from beginning to end
    }
    /// How long snapshots stay.
    pub mod keep {
        pub mod retain; // decides which snapshots are kept
        pub mod prune; // deletes the others
        pub mod coverage; // decides what no policy covers
    }
    /// What was saved, read back.
    pub mod saved {
        pub mod files; // files of a snapshot, checked
        pub mod step; // the wanted objects of one part
        pub mod open; // any saved state
        pub mod commit_objects; // a mirror read back
        pub mod manifests; // plain files as a state
        pub mod verify; // whether a snapshot is sound
    }
    /// What changed.
    pub mod difference {
        pub mod diff; // what is different in one object
        pub mod compare; // what is different between two states
        pub mod render; // a diff for people
    }
    /// What a restore will do.
    pub mod decide {
        pub mod hold; // an owner suspended and put back
        pub mod init; // what hooks put in front of pods
        pub mod prepare; // what is sent of an object
        pub mod owners; // what its controller makes again
        pub mod missing; // names that lead nowhere
        pub mod waves; // in which order
        pub mod definition; // what a definition adds
        pub mod mentions; // where old names still stand
        pub mod look; // objects by their keys
        pub mod survey; // what the cluster is like
        pub mod choose; // which objects are meant
        pub mod versions; // which version is sent
        pub mod draft; // into waves
        pub mod unmatched; // names that match nothing
        pub mod surplus; // what the snapshot does not have
        pub mod restore_plan; // all that is decided before
        pub mod owner_nodes; // owners that live or come back
        pub mod graph; // who owns whom
        pub mod gitops; // which of them are paused
    }
    /// Doing it.
    pub mod restore {
        pub mod readiness; // whether an object can be built upon
        pub mod send; // what is sent of a wave
        pub mod existing; // what an object that exists lacks
        pub mod before; // what is there before a wave
        pub mod recreate; // makes way for an object
        pub mod window; // how many writes at the same time
        pub mod webhooks; // that do not answer
        pub mod bound; // a change of one version
        pub mod put; // one write
        pub mod status; // what its controller said of it
        pub mod settle; // until it can be built upon
        pub mod rebind; // claims and the volumes that waited for them
        pub mod links; // owners by their new uids
        pub mod finalizers; // once their controller is there
        pub mod inventory; // what an owner that was made anew manages
        pub mod wave; // writes that may run together
        pub mod remove; // what the snapshot does not have
        pub mod preview; // what a restore would do
        pub mod apply; // wave after wave
        pub mod pause; // owners, before and after
    }
    /// After it.
    pub mod mend {
        pub mod fixup_plan; // what a fixup has to do
        pub mod fixups; // mends what is left broken
    }
    /// All of it, once, and resumed by anybody.
    pub mod recovery {
        pub mod claim; // who may carry it out
        pub mod hooked; // its hooks
        pub mod inits; // those inside of pods
        pub mod run; // a restore from beginning to end
        pub mod turn; // whose turn it is
        pub mod cancel; // ends it
        pub mod drill; // for trial
        pub mod scratch; // where, and its end
    }
    /// From other tools.
    pub mod migrate {
        pub mod glob; // Velero's globs
        pub mod cel_text; // conditions, written
        pub mod group_resource; // which kinds Velero means
        pub mod modifier_file; // Velero's resource modifiers as they stand
        pub mod modifier_value; // their values
        pub mod modifier_conditions; // which objects they mean
        pub mod modifier_patches; // what they change
        pub mod modifiers; // as transforms
        pub mod velero_hooks; // Velero's hooks
    }
}

/// FLOOR 3: the outside world. It and the engine know nothing of each other.
pub mod adapters {
    /// Object storage: S3, Azure, Google Cloud and folders.
    pub mod object_store {
        pub mod credentials; // what opens a bucket
        pub mod failure; // what an error of the storage means
        pub mod store; // a bucket
        pub mod connect; // from a location to its bucket
    }
    pub mod clock; // the system's time and chance
    pub mod http; // services that hooks ask
    pub mod otlp; // OpenTelemetry collectors
    /// Git repositories in folders and on servers.
    pub mod git {
        pub mod address; // where a repository is
        pub mod failure; // what libgit2's errors mean
        pub mod access; // who asks
        pub mod known_hosts; // which SSH server answers
        pub mod authorities; // which HTTPS server answers
        pub mod reference; // which commit is meant
        pub mod cache; // copies of remote repositories
        pub mod handles; // open ones
        pub mod patience; // how long a server is waited for
        pub mod pending; // blobs to store
        pub mod sign; // signed commits
        /// Who signed them.
        pub mod verify {
            pub mod ssh; // with an SSH key
            pub mod certificate; // what an OpenPGP key says of itself
            pub mod openpgp; // with an OpenPGP key
            pub mod signature; // with either
        }
        pub mod write; // new commits
        pub mod server; // fetch and push
        pub mod push; // if nobody was faster
        pub mod tree; // a repository at one commit
        pub mod repositories; // the door
    }

    /// A cluster in memory, for tests and the demo.
    pub mod memory {
        pub mod clock; // time that passes quickly
        pub mod kinds; // what it serves
        pub mod selector; // label selectors
        pub mod paths; // where a field is
        pub mod fields; // who owns which field
        pub mod store; // its objects
        pub mod admit; // what it checks and fills in
        pub mod network; // addresses of Services
        pub mod metadata; // what only a server sets
        pub mod patch; // an object after a patch
        pub mod state; // one write
        pub mod control; // how controllers work
        pub mod workloads; // controllers of workloads
        pub mod tend; // all other controllers
        pub mod fault; // what goes wrong
        pub mod cluster; // the door
        pub mod exec; // the door to containers
        pub mod bucket; // object storage in memory
    }
    /// A Kubernetes API server.
    pub mod kube {
        pub mod scrub; // what it says, without contents
        pub mod failure; // what goes wrong
        pub mod connect; // how to reach it
        pub mod call; // one request
        pub mod served; // what it says it serves
        pub mod discover; // asks for that
        pub mod without; // JSON without one field
        pub mod page; // objects in its answers
        pub mod flow; // JSON as the YAML it reads
        pub mod read; // the door to read
        pub mod write; // the door to write
        pub mod exec; // the door to containers
        #[cfg(test)]
        pub mod real; // the contract, kept by a real one
    }
}

/// FLOOR 4: which adapter stands behind which door.
pub mod app {
    pub mod settings; // what the command line and environment say
    pub mod access; // credentials and keys
    pub mod process; // which processes are at work on this machine
    pub mod wiring; // the only room that names adapters
    pub mod demo_cluster; // and this one, for the demo
}

/// FLOOR 4: one piece of work from beginning to end, whoever asked for it.
pub mod work {
    pub mod failure; // exit codes and next steps
    pub mod stop; // Ctrl-C
    pub mod choose; // what a name means
    pub mod repository; // the policy repository
    pub mod archives; // buckets of locations
    pub mod states; // what a state's name means
    pub mod doors; // of a restore
    pub mod stage; // whose hooks, and where
    pub mod debts; // hooks around a backup, also after a crash
    pub mod backup; // a policy, carried out
    pub mod keep; // old snapshots, deleted
    pub mod coverage; // what no policy covers
    pub mod wanted; // a restore as it is asked for
    pub mod restore_job; // decided
    pub mod restore; // and carried out
}

/// FLOOR 5: when to act.
pub mod reconcile {
    pub mod due; // when a policy runs
    pub mod resource; // a custom resource as it was read
    pub mod merge; // one policy of two sources
    pub mod lease; // which replica leads
    pub mod event; // what is to be done, and what came of it
    pub mod notice; // who is told of it, in which words
    pub mod deliver; // tells them
    pub mod cover; // when it is looked for what no policy covers
    pub mod snapshot_views; // which snapshots are shown
    pub mod desk; // what a replica knows
    pub mod enforce; // puts policy in force
    pub mod next; // what is to be done now
    pub mod ended; // how runs and restores ended
    pub mod learn; // takes in policy
    pub mod hear; // takes in what happened
    pub mod claims; // what conditions say
    pub mod tell; // what is written of it
    pub mod empty; // whether a cluster is empty
    pub mod resources; // the door to custom resources
    pub mod under; // what an action has to know
    pub mod act; // carries an action out
    pub mod trace; // and tells how long it took
    pub mod series; // what metrics are told apart by
    pub mod figures; // of coverage and notifications
    pub mod metrics; // numbers for Prometheus
    pub mod board; // what the pages show
    pub mod run; // the loop
}

/// FLOOR 5: what a replica shows of itself.
pub mod web {
    pub mod signature; // who sends a webhook
    pub mod server; // metrics, health, webhooks
}

/// FLOOR 6: what a person types and reads.
pub mod cli {
    pub mod restore_args; // what may be typed after `restore`
    pub mod drill_args; // after `drill`
    pub mod migrate_args; // after `migrate`
    pub mod hooks_args; // after `hooks`
    pub mod run_args; // after `run`
    pub mod args; // and else
    pub mod print; // text, JSON, YAML
    pub mod show_hooks; // the forms for people of hooks
    pub mod show_backup; // of backups
    pub mod show_restore; // and of restores
    pub mod done; // what a command gives back
    pub mod validate; // backstay validate
    pub mod build; // backstay build
    pub mod keys; // backstay keys
    pub mod init; // backstay init
    pub mod hooks; // backstay hooks
    pub mod run; // backstay run
    pub mod backup; // backstay plan, backup
    pub mod snapshots; // backstay snapshots, show
    pub mod verify; // backstay verify
    pub mod prune; // backstay prune
    pub mod coverage; // backstay coverage
    pub mod references; // backstay verify --references
    pub mod compare; // backstay diff
    pub mod show_plan; // the form for people of restore plans
    pub mod progress; // a bar
    pub mod restore_spec; // what a person wants restored
    pub mod restore_runs; // backstay restore status, cancel
    pub mod restore; // backstay restore plan, apply
    pub mod resume; // backstay restore resume
    pub mod show_drill; // a drill's form for people
    pub mod drill; // backstay drill
    pub mod migrate; // backstay migrate
    pub mod schema; // backstay schema
    pub mod completion; // backstay completion
    pub mod demo; // backstay demo
    pub mod commands; // calls them
}

#[cfg(test)]
mod floors;
