//! A graph of places (files or packages) and arrows. In a *circle*, an arrow leads from each place to the
//! next place, and from the last place to the first.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{astar, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};

/// A graph whose places are either the files of a crate or the packages of the workspace. An arrow leads from
/// a file to a file that it imports, or from a package to a package that it depends on.
#[derive(Debug, Default)]
pub(super) struct Graph {
    places: BTreeMap<String, NodeIndex>,
    graph: DiGraph<String, BTreeSet<String>>,
}

impl Graph {
    /// The number of places.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn add_place(&mut self, place: &str) -> NodeIndex {
        *self.places.entry(place.to_owned()).or_insert_with(|| self.graph.add_node(place.to_owned()))
    }

    /// Adds an arrow. `name` says why the arrow exists. For files, `name` is the imported name. For packages,
    /// `name` is the table of `Cargo.toml` that lists the dependency, such as `dev-dependencies`.
    pub(super) fn add_arrow(&mut self, from: &str, to: &str, name: &str) {
        let (from, to) = (self.add_place(from), self.add_place(to));
        let edge =
            self.graph.find_edge(from, to).unwrap_or_else(|| self.graph.add_edge(from, to, BTreeSet::new()));
        self.graph[edge].insert(name.to_owned());
    }

    /// Describes the circles, with one text for each group of places. Two places are in the same group if
    /// arrows lead from each of the two places to the other, directly or by way of other places. `verb` names
    /// the relation, e.g. "imports". `advice` says how to remove a circle.
    pub(super) fn circles(&self, verb: &str, advice: &str) -> Vec<String> {
        let groups = tarjan_scc(&self.graph).into_iter().filter(|group| group.len() > 1);
        let mut circles: Vec<String> = groups.map(|group| self.description(&group, verb, advice)).collect();
        circles.sort_unstable();
        circles
    }

    /// Describes a group: one line about the group's shortest circle and, if the group has more than two
    /// arrows, one line about each arrow.
    fn description(&self, group: &[NodeIndex], verb: &str, advice: &str) -> String {
        let circle = self.shortest_circle(group);
        let [first, second, ..] = &circle[..] else { return String::new() };
        let (last, first_name) = (circle[circle.len() - 1], &self.graph[*first]);
        let between: Vec<&str> = circle[2..].iter().map(|place| self.graph[*place].as_str()).collect();
        let by_way_of =
            if between.is_empty() { String::new() } else { format!(" by way of {}", between.join(", ")) };
        let names = self.arrow_names(last, *first);
        let second = &self.graph[*second];
        let mut text = format!(
            "{first_name}: {verb} {second}, which {verb} {first_name}{by_way_of} ({names}); {advice}"
        );
        let mut arrows: Vec<(NodeIndex, NodeIndex)> = Vec::new();
        for from in group {
            arrows.extend(self.graph.neighbors(*from).filter(|to| group.contains(to)).map(|to| (*from, to)));
        }
        if arrows.len() > 2 {
            let mut lines: Vec<String> = arrows
                .into_iter()
                .map(|(from, to)| {
                    format!("\n  {} -> {}: {}", self.graph[from], self.graph[to], self.arrow_names(from, to))
                })
                .collect();
            lines.sort_unstable();
            text.extend(lines);
        }
        text
    }

    /// The places of the group's shortest circle. Each place has an arrow to the next place, and the last
    /// place has an arrow to the first.
    fn shortest_circle(&self, group: &[NodeIndex]) -> Vec<NodeIndex> {
        let mut starts = group.to_vec();
        starts.sort_unstable_by_key(|place| &self.graph[*place]);
        let circles = starts.into_iter().flat_map(|start| {
            let seconds = self.graph.neighbors(start);
            seconds.filter_map(move |second| {
                let (_, back) = astar(&self.graph, second, |place| place == start, |_| 1, |_| 0)?;
                Some([&[start], &back[..back.len() - 1]].concat())
            })
        });
        circles.min_by_key(Vec::len).unwrap_or_default()
    }

    fn arrow_names(&self, from: NodeIndex, to: NodeIndex) -> String {
        let names = self.graph.find_edge(from, to).map(|edge| &self.graph[edge]);
        names.into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")
    }
}
