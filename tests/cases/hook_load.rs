//! Many senders post to one webhook address at the same time.

use std::time::{Duration, Instant};

use end_to_end::alerts;
use end_to_end::connector::Received;
use end_to_end::hooks::hook;
use end_to_end::suite::World;
use serde_json::json;

end_to_end::cases!(thousand_posts_at_once_are_delivered_once_and_in_order,);

/// The time at which a post began, and the time of the response.
#[derive(Debug)]
struct Posted {
    begun: Instant,
    answered: Instant,
}

/// A hundred senders post at the same time, each ten times. The first post creates the queue. With `kick=on`,
/// the bot starts runs of the poller while the senders still post.
fn thousand_posts_at_once_are_delivered_once_and_in_order(world: &World) {
    const SENDERS: usize = 100;
    const EACH: usize = 10;
    // The poller sends the alerts of one conversation one after the other, so a thousand alerts can take
    // minutes.
    const PATIENCE: Duration = Duration::from_secs(300);
    let stage = alerts::script(world).variable("pace", "0").variable("kick", "on").start();
    let hook = &hook(&stage);
    let post = |sender: usize, number: usize| {
        let begun = Instant::now();
        let response = hook.post(&json!({"text": format!("{sender} {number}")}));
        assert_eq!(response.status, 202, "{}", response.describe());
        Posted { begun, answered: Instant::now() }
    };
    let posted: Vec<Posted> = std::thread::scope(|scope| {
        let post = &post;
        let send = |sender| scope.spawn(move || (0..EACH).map(|number| post(sender, number)).collect());
        let senders: Vec<_> = (0..SENDERS).map(send).collect();
        senders.into_iter().flat_map(|sender| -> Vec<Posted> { sender.join().unwrap() }).collect()
    });
    let mut released = 0;
    let end = Instant::now() + PATIENCE;
    while stage.connector.received().len() < SENDERS * EACH {
        assert!(
            Instant::now() < end,
            "expected all alerts at the Connector in time, found {}",
            stage.connector.received().len()
        );
        released += stage.poll()["released"].as_u64().unwrap_or_default();
    }
    stage.poll();
    let said: Vec<usize> = stage.connector.received().iter().map(index_of).collect();
    let mut sorted = said.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..SENDERS * EACH).collect::<Vec<_>>(), "expected that each alert is delivered once");
    // If the response to post A came before post B began, the poller has to deliver the alert of A before the
    // alert of B.
    let mut last_begun = posted[said[0]].begun;
    for (place, index) in said.iter().enumerate() {
        let Posted { begun, answered } = &posted[*index];
        let earlier = &said[..place];
        assert!(
            *answered >= last_begun,
            "expected post {index} before the posts {:?}, because these posts began after the response to post {index}",
            earlier.iter().filter(|earlier| posted[**earlier].begun > *answered).collect::<Vec<_>>()
        );
        last_begun = last_begun.max(*begun);
    }
    println!("hook: the runs made {released} alerts visible again");
    assert_eq!(stage.queue.count() + stage.queue.poison().count(), 0);

    fn index_of(received: &Received) -> usize {
        let (sender, number) =
            received.body["summary"].as_str().and_then(|summary| summary.split_once(' ')).unwrap();
        sender.parse::<usize>().unwrap() * EACH + number.parse::<usize>().unwrap()
    }
}
