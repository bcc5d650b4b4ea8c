//! Measures the cost of `GET /api/targets`, which lists the conversations that the bot knows (the *address
//! book*). The cost is the number of calls to the table service for a page of the list, and the bot's memory.
//! The results show how the cost depends on the number of conversations.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::contender::{Contender, Variant};
use crate::drain::drain;
use crate::driver;
use crate::meter::Meter;
use crate::stubs::Stubs;
use crate::workload::{Tokens, Workload};

/// The tag of all conversations in this measurement. A *tag* is a name to which conversations subscribe.
const TAG: &str = "bench";

/// The number of conversations on a page of the list.
const PAGE: usize = 100;

/// The sizes of the address books: numbers of conversations.
pub const BOOKS: [usize; 2] = [1_000, 100_000];
/// The sizes of the address books in a quick measurement (`--quick`), and in the test.
pub const SHORT_BOOKS: [usize; 2] = [1_000, 4_000];

/// The cost of listing a whole address book.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listing {
    /// The average number of calls to the table service for a page. The list shows all conversations.
    pub calls_per_page: f64,
    /// The average number of calls to the table service for a page. The list shows the conversations of one
    /// tenant, and all conversations belong to this tenant. The bot reads this list from an index.
    pub calls_per_indexed_page: f64,
    /// The average number of calls to the table service for a page. The list shows the conversations with one
    /// tag, and all conversations have this tag.
    pub calls_per_tagged_page: f64,
    /// The linear memory of the bot's largest instance, in bytes.
    pub bot_memory_bytes: u64,
}

/// Measures the cost of listing for each size of the address book in `sizes`.
pub fn measure(
    stubs: &Stubs,
    workload: &Workload,
    sizes: &[usize],
) -> anyhow::Result<BTreeMap<usize, Listing>> {
    sizes.iter().map(|size| Ok((*size, list(stubs, workload, *size)?))).collect()
}

fn list(stubs: &Stubs, workload: &Workload, size: usize) -> anyhow::Result<Listing> {
    let components = Contender::components(workload, Variant { meter: true, ..Variant::default() })?;
    driver::load(components.url(), 1, workload.activities(1, Tokens::One), 202)?;
    drain(stubs, workload, &components)?;
    let key = workload.key_of_known(0);
    let tag = workload.api_request(Method::PUT, &format!("/api/targets/{key}/tags/{TAG}"));
    driver::send(components.url(), tag, 204)?;
    stubs.table.copy_rows(key.as_str(), size);
    let mut largest = 0;
    let mut walk = |filter: &str| -> anyhow::Result<f64> {
        let mut meter = Meter::of(&components);
        let before = stubs.table.calls();
        let (mut after, mut pages, mut seen) = (String::new(), 0, BTreeSet::new());
        loop {
            let path = format!("/api/targets?limit={PAGE}{filter}{after}");
            let page: Value = serde_json::from_slice(&driver::send(
                components.url(),
                workload.api_request(Method::GET, &path),
                200,
            )?)?;
            let used = meter.take(1)?;
            largest = largest.max(used[0].memory_bytes);
            pages += 1;
            let targets =
                page["targets"].as_array().context("page: expected a list of targets, found none")?;
            seen.extend(targets.iter().map(|target| target["conversation"].to_string()));
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        // The address book has the conversation from the activity, and `size` copies of this conversation.
        ensure!(seen.len() == size + 1, "list: expected {} conversations, found {}", size + 1, seen.len());
        Ok((stubs.table.calls() - before) as f64 / f64::from(pages))
    };
    let calls_per_page = walk("")?;
    let calls_per_indexed_page = walk(&format!("&tenant={}", workload.tenant()))?;
    let calls_per_tagged_page = walk(&format!("&tag={TAG}"))?;
    stubs.expect_no_complaint()?;
    stubs.table.clear();
    Ok(Listing { calls_per_page, calls_per_indexed_page, calls_per_tagged_page, bot_memory_bytes: largest })
}
