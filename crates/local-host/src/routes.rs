//! Finds the route for the path of a request.

/// A route of the manifest. An exact route (`/api`) matches one path. A route can also end with the wildcard
/// `/...`, which matches any rest of a path.
#[derive(Debug)]
pub(crate) struct Route {
    /// The route as it is in the manifest.
    pub(crate) pattern: String,
    /// The route without the wildcard, and without slashes at its beginning and end. Like Spin, this host
    /// ignores these slashes.
    stem: String,
    wildcard: bool,
}

impl Route {
    pub(crate) fn new(pattern: &str) -> Self {
        let (stem, wildcard) = match pattern.strip_suffix("/...") {
            Some(stem) => (stem, true),
            None => (pattern, false),
        };
        Self { pattern: pattern.to_owned(), stem: stem.trim_matches('/').to_owned(), wildcard }
    }

    /// The route without its wildcard.
    pub(crate) fn prefix(&self) -> &str {
        self.pattern.strip_suffix("/...").unwrap_or(&self.pattern)
    }

    /// The part of `path` that the wildcard matches; empty for an exact route.
    pub(crate) fn path_info<'a>(&self, path: &'a str) -> &'a str {
        match path.trim_start_matches('/').strip_prefix(&self.stem) {
            Some("") | None => "",
            Some(_) if !self.wildcard => "",
            Some(rest) if self.stem.is_empty() => &path[path.len() - rest.len() - 1..],
            Some(rest) => rest,
        }
    }

    fn matches(&self, path: &str) -> bool {
        match path.trim_matches('/').strip_prefix(&self.stem) {
            Some("") => true,
            Some(rest) => self.wildcard && (self.stem.is_empty() || rest.starts_with('/')),
            None => false,
        }
    }
}

/// Writes the route as the host prints it in the list of routes at start-up, e.g. `/api (wildcard)`.
impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.prefix())?;
        f.write_str(if self.wildcard { " (wildcard)" } else { "" })
    }
}

/// Finds the best route for a path. An exact route has precedence over a route with a wildcard. Of two routes
/// with a wildcard, the longer route has precedence.
pub(crate) fn find<'a, T>(routes: &'a [(Route, T)], path: &str) -> Option<&'a (Route, T)> {
    routes
        .iter()
        .filter(|(route, _)| route.matches(path))
        .max_by_key(|(route, _)| (!route.wildcard, route.stem.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_route_has_precedence_and_then_the_longest_route_with_a_wildcard() {
        let routes = ["/...", "/one", "/one/...", "/one/two/...", "/one/two/three"]
            .map(|pattern| (Route::new(pattern), pattern));
        for (path, expected) in [
            ("/", "/..."),
            ("/x", "/..."),
            ("/onething", "/..."),
            ("/one", "/one"),
            ("/one/", "/one"),
            ("/one/x", "/one/..."),
            ("/one/two", "/one/two/..."),
            ("/one/two/four", "/one/two/..."),
            ("/one/two/three", "/one/two/three"),
            ("/one/two/three/four", "/one/two/..."),
        ] {
            assert_eq!(find(&routes, path).unwrap().1, expected, "{path}");
        }
    }

    #[test]
    fn path_below_an_exact_route_is_not_found() {
        let routes = ["/", "/api/messages"].map(|pattern| (Route::new(pattern), ()));
        for (path, found) in [
            ("/", true),
            ("/api/messages", true),
            ("/api/messages/", true),
            ("/api/messages/1", false),
            ("/api", false),
            ("/API/messages", false),
        ] {
            assert_eq!(find(&routes, path).is_some(), found, "{path}");
        }
    }

    #[test]
    fn path_info_is_the_part_that_the_wildcard_matches() {
        for (pattern, path, expected) in [
            ("/foo", "/foo", ""),
            ("/foo", "/foo/", ""),
            ("/foo/...", "/foo", ""),
            ("/foo/...", "/foo/", "/"),
            ("/foo/...", "/foo/bar", "/bar"),
            ("/foo/...", "/foo/bar/", "/bar/"),
            ("/...", "/foo/bar", "/foo/bar"),
        ] {
            assert_eq!(Route::new(pattern).path_info(path), expected, "{pattern} {path}");
        }
    }
}
