use jiff::Timestamp;

use super::*;
use crate::adapters::memory::clock::FakeClock;
use crate::ports::cluster::contract;

fn fresh() -> (Arc<FakeClock>, Cluster) {
    let clock = Arc::new(FakeClock::at(Timestamp::UNIX_EPOCH));
    (Arc::clone(&clock), Cluster::new(clock))
}

#[tokio::test]
async fn the_memory_cluster_keeps_the_contract() {
    let (clock, cluster) = fresh();
    contract::holds(&cluster, &cluster, &*clock).await;
}
