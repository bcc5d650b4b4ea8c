//! Request bodies that are malformed or unusual.

use end_to_end::activity::message;
use end_to_end::stage::Stage;
use end_to_end::suite::World;
use end_to_end::web;

end_to_end::cases!(
    malformed_body_is_refused_and_not_queued,
    odd_but_valid_bodies_are_accepted,
    request_with_a_header_that_is_not_utf_8_is_answered_500_by_the_host,
);

fn post(stage: &Stage, content_type: Option<&str>, body: web::Body) -> web::WholeResponse {
    let mut request = http::Request::post(stage.url("/api/messages"));
    if let Some(content_type) = content_type {
        request = request.header("content-type", content_type);
    }
    web::send(request.body(body).unwrap())
}

/// A malformed request and the expected response: the name of this row of the table, the content type, the
/// body, the HTTP status, and the error code.
type Row<'a> = (&'a str, Option<&'a str>, Vec<u8>, u16, &'a str);

fn malformed_body_is_refused_and_not_queued(world: &World) {
    const JSON: Option<&str> = Some("application/json");
    let stage = Stage::start(world);
    let good = stage.connector.host(&message("a:1", "1", "hello")).to_string();
    let with = |from: &str, to: &str| {
        let changed = good.replace(from, to);
        assert_ne!(changed, good, "expected {from} in the activity");
        changed
    };
    let text = |text: &str| text.as_bytes().to_vec();
    let too_long = with("\"hello\"", &format!("\"{}\"", "x".repeat(257 * 1024)));
    let table: Vec<Row<'_>> = vec![
        ("empty", JSON, vec![], 400, "BadSyntax"),
        ("not JSON", JSON, text("hello"), 400, "BadSyntax"),
        ("cut short", JSON, good.as_bytes()[..good.len() / 2].to_vec(), 400, "BadSyntax"),
        ("array", JSON, text("[]"), 400, "BadSyntax"),
        ("null", JSON, text("null"), 400, "BadSyntax"),
        ("number", JSON, text("42"), 400, "BadSyntax"),
        ("string", JSON, text("\"message\""), 400, "BadSyntax"),
        ("two values", JSON, text("{} {}"), 400, "BadSyntax"),
        ("no fields", JSON, text("{}"), 400, "BadSyntax"),
        ("no type", JSON, text(r#"{"conversation":{"id":"c"}}"#), 400, "BadSyntax"),
        ("type is a number", JSON, text(r#"{"type":1,"conversation":{"id":"c"}}"#), 400, "BadSyntax"),
        ("type is empty", JSON, text(r#"{"type":"","conversation":{"id":"c"}}"#), 400, "BadSyntax"),
        ("no conversation", JSON, text(r#"{"type":"message"}"#), 400, "BadSyntax"),
        ("conversation is text", JSON, text(r#"{"type":"message","conversation":"c"}"#), 400, "BadSyntax"),
        (
            "conversation.id is empty",
            JSON,
            text(r#"{"type":"message","conversation":{"id":""}}"#),
            400,
            "BadSyntax",
        ),
        (
            "conversation.id is null",
            JSON,
            text(r#"{"type":"message","conversation":{"id":null}}"#),
            400,
            "BadSyntax",
        ),
        ("text is an object", JSON, text(&with("\"hello\"", "{}")), 400, "BadSyntax"),
        ("100 000 brackets", JSON, "[".repeat(100_000).into_bytes(), 400, "BadSyntax"),
        ("50 000 objects", JSON, "{\"a\":".repeat(50_000).into_bytes(), 400, "BadSyntax"),
        ("not UTF-8", JSON, b"{\"type\":\"\xff\xfe\"}".to_vec(), 400, "BadSyntax"),
        ("UTF-16", JSON, good.encode_utf16().flat_map(u16::to_le_bytes).collect(), 400, "BadSyntax"),
        ("half an escape", JSON, text(&with("\"hello\"", r#""\ud8""#)), 400, "BadSyntax"),
        ("huge exponent", JSON, text(&with("\"hello\"", "1e99999")), 400, "BadSyntax"),
        ("no channelId", JSON, text(&with("\"channelId\"", "\"channel\"")), 400, "BadSyntax"),
        ("257 KiB", JSON, text(&too_long), 413, "MessageSizeTooBig"),
        ("form", Some("application/x-www-form-urlencoded"), text("a=b"), 415, "UnsupportedMediaType"),
        ("text", Some("text/plain"), text(&good), 415, "UnsupportedMediaType"),
        (
            "JSON of another kind",
            Some("application/json-patch+json"),
            text(&good),
            415,
            "UnsupportedMediaType",
        ),
        ("no content type", None, text(&good), 415, "UnsupportedMediaType"),
        ("no serviceUrl", JSON, text(&with("\"serviceUrl\"", "\"service\"")), 403, "ServiceUrlNotAllowed"),
    ];
    for (name, content_type, body, status, code) in table {
        let response = post(&stage, content_type, web::whole(body));
        assert_eq!(
            (response.status, response.error_code().as_str()),
            (status, code),
            "{name}: {}",
            response.describe()
        );
    }
    // The case sends the body of the row `257 KiB` again, this time without a header `Content-Length`.
    post(&stage, JSON, web::chunked(too_long)).expect_error(413, "MessageSizeTooBig");
    stage.connector.expect_silence();
    assert!(!stage.queue.exists(), "a refused request must not create the queue");
    // The bot still accepts a proper activity.
    post(&stage, JSON, web::whole(good)).expect_status(202);
}

fn odd_but_valid_bodies_are_accepted(world: &World) {
    let stage = Stage::start(world);
    let good = |id: &str| stage.connector.host(&message("a:1", id, "hello")).to_string();
    let doubled = good("3").replacen('{', r#"{"text":"first","#, 1);
    let many_digits = good("4").replacen('{', r#"{"number":123456789012345678901234567890.5,"#, 1);
    let half = good("6").replacen('{', r#"{"nickname":"\ud800","#, 1);
    for (name, content_type, body) in [
        ("byte order mark", "application/json", web::whole(format!("\u{FEFF}{}", good("1")))),
        ("parameters and case", "Application/JSON; charset=utf-8", web::whole(good("2"))),
        // The last value counts, as in most JSON parsers.
        ("a field twice", "application/json", web::whole(doubled)),
        ("a huge number in an unknown field", "application/json", web::whole(many_digits)),
        ("chunked", "application/json", web::chunked(good("5"))),
        ("half a character in an unknown field", "application/json", web::whole(half)),
    ] {
        let response = post(&stage, Some(content_type), body);
        assert_eq!(response.status, 202, "{name}: {}", response.describe());
    }
    assert_eq!(stage.queue.count(), 6);
    assert!(stage.queue.envelopes().iter().all(|envelope| envelope["text"] == "hello"));
}

/// If a header is not UTF-8, Spin itself answers the request, and does not call the bot. The embedded host
/// (which replaces Spin in most test runs) does the same.
fn request_with_a_header_that_is_not_utf_8_is_answered_500_by_the_host(world: &World) {
    let stage = Stage::start(world);
    let header = http::HeaderValue::from_bytes(b"Bearer \xff").unwrap();
    let request = http::Request::post(stage.url("/api/messages")).header("authorization", header);
    let response = web::send(request.body(web::whole("{}")).unwrap()).expect_status(500);
    assert!(response.body.is_empty(), "{}", response.describe());
}
