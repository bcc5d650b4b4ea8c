//! The part of the fake Connector that simulates Teams. This part knows people, teams and chats. It also
//! knows the people and channels for which the bot is installed.
//!
//! The simulation creates conversations, and lists the members of a conversation. If the form of a request
//! is wrong, the result is a *complaint*, and the complaint fails the test. If the form is right, but e.g.
//! the bot is not installed, the result is an error response like that of Teams.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::{Received, Reply};

/// A person in the fake's tenant.
#[derive(Debug, Clone)]
struct Person {
    object_id: String,
    email: String,
    /// How often Teams has *purged* (removed) the chat between the person and the bot. After each purge, the
    /// next chat has another id.
    purged: u32,
}

impl Person {
    fn id(&self) -> String {
        format!("29:{}", self.object_id)
    }

    fn chat(&self) -> String {
        format!("a:{}-{}", self.object_id, self.purged)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id(), "objectId": self.object_id, "name": self.email, "email": self.email,
            "userPrincipalName": self.email, "userRole": "user",
        })
    }

    fn is_named(&self, name: &str) -> bool {
        name == self.object_id || name == self.id() || name.eq_ignore_ascii_case(&self.email)
    }
}

/// The people, teams and channels of the fake's tenant.
#[derive(Debug, Default)]
pub struct Teams {
    people: BTreeMap<String, Person>,
    installed: BTreeSet<String>,
    /// The object ids of the members of each team or group chat. The map key is the conversation id of the
    /// team or group chat.
    rosters: BTreeMap<String, Vec<String>>,
    threads: usize,
    /// The number of members on each page of a member list. If this number is 0, the `pageSize` of the
    /// request sets the size of a page.
    page: usize,
}

/// The result of a request that creates a conversation or reads the members of a conversation. The result is
/// a response, or a complaint about the request.
type Response = Result<Reply, &'static str>;

impl Teams {
    /// Adds a person. The bot is not installed for this person yet.
    pub fn person(&mut self, object_id: &str, email: &str) -> &mut Self {
        let person = Person { object_id: object_id.into(), email: email.into(), purged: 0 };
        self.people.insert(object_id.into(), person);
        self
    }

    /// Installs the bot for a person or in a channel. `id` is the object id of the person, or the id of the
    /// channel.
    pub fn install(&mut self, id: &str) -> &mut Self {
        self.installed.insert(id.into());
        self
    }

    /// Gives the first chat message of each new thread a recent id. Real Teams makes such an id from the
    /// present time, in milliseconds since 1970. Without a call of this function, the ids name a day in 2023.
    ///
    /// The bot reads the age of a chat message from the id. If a person replies to a chat message that is
    /// older than seven days, the bot does not record the reply. So a test of replies in a new thread needs
    /// this function.
    pub fn give_new_threads_recent_ids(&mut self) {
        let now = chrono::Utc::now().timestamp_millis() - 1_700_000_000_000;
        self.threads = now.try_into().expect("a time after 2023");
    }

    /// Sets the members of a team or group chat. The bot is then in this team or group chat, although
    /// `members` does not contain the bot.
    pub fn team(&mut self, conversation_id: &str, members: &[&str]) -> &mut Self {
        self.rosters.insert(conversation_id.into(), members.iter().map(|id| (*id).to_owned()).collect());
        self
    }

    /// Sets the number of members on each page of a member list.
    pub fn pages_of(&mut self, members: usize) -> &mut Self {
        self.page = members;
        self
    }

    /// Purges the chat between a person and the bot. The person's next chat with the bot has another id.
    pub fn purge(&mut self, object_id: &str) -> &mut Self {
        self.people.get_mut(object_id).expect("a known person").purged += 1;
        self
    }

    /// The id of the chat between a person and the bot.
    pub fn chat(&self, object_id: &str) -> String {
        self.people[object_id].chat()
    }

    /// Whether this is the id of a chat that Teams has purged.
    pub(super) fn is_purged(&self, conversation: &str) -> bool {
        let has_been = |person: &Person| {
            let chat = format!("a:{}-", person.object_id);
            conversation.starts_with(&chat) && conversation != person.chat()
        };
        self.people.values().any(has_been)
    }

    /// The response to a request that creates a conversation or reads the members of a conversation. Returns
    /// `None` for every other request.
    pub(super) fn response(&mut self, received: &Received) -> Option<Response> {
        let (_, rest) = received.path.split_once("/v3/conversations")?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|segment| percent_decode_str(segment).decode_utf8_lossy().into_owned())
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (received.method.as_str(), segments.as_slice()) {
            ("POST", []) => Some(self.create(&received.body)),
            ("GET", [conversation, "members", member]) => Some(Ok(self.member(conversation, member))),
            ("GET", [conversation, "pagedmembers"]) => Some(self.members(conversation, query)),
            _ => None,
        }
    }

    fn create(&mut self, body: &Value) -> Response {
        let tenant =
            body["tenantId"].as_str().ok_or("expected that a conversation is created in a tenant")?;
        if body["channelData"]["tenant"]["id"] != tenant {
            return Err("expected that channelData also names the tenant");
        }
        match body["isGroup"].as_bool() {
            Some(false) => self.create_chat(body),
            Some(true) => self.create_thread(body),
            None => Err("expected isGroup: false for a chat, true for a thread"),
        }
    }

    fn create_chat(&mut self, body: &Value) -> Response {
        if body.get("activity").is_some() {
            return Err(
                "expected no activity: if the bot creates the chat again, Teams posts the activity again",
            );
        }
        let [member] = body["members"].as_array().map(Vec::as_slice).unwrap_or_default() else {
            return Err("expected that a chat has one member");
        };
        if member.as_object().is_none_or(|member| member.len() != 1 || !member.contains_key("id")) {
            return Err("expected that a member of a chat has an id, and no other field");
        }
        let id = member["id"].as_str().unwrap_or_default();
        let Some(person) = self.people.values().find(|person| person.object_id == id || person.id() == id)
        else {
            return Ok(Reply::error(400, "MemberNotFoundInConversation"));
        };
        if !self.installed.contains(&person.object_id) {
            return Ok(Reply::error(403, "BotNotInConversationRoster"));
        }
        Ok(Reply::created(&person.chat()))
    }

    fn create_thread(&mut self, body: &Value) -> Response {
        let channel =
            body["channelData"]["channel"]["id"].as_str().ok_or("expected that a thread is in a channel")?;
        if !body["activity"]["type"].is_string() {
            return Err("expected that a thread begins with an activity");
        }
        if !body["bot"]["id"].is_string() {
            return Err("expected that a thread names the bot");
        }
        if !self.installed.contains(channel) {
            return Ok(Reply::error(403, "BotNotInConversationRoster"));
        }
        self.threads += 1;
        let id = format!("17{:011}", self.threads);
        Ok(Reply::status(201, json!({"id": format!("{channel};messageid={id}"), "activityId": id})))
    }

    fn member(&self, conversation: &str, member: &str) -> Reply {
        let Some(members) = self.rosters.get(conversation) else {
            return Reply::error(403, "BotNotInConversationRoster");
        };
        let found =
            members.iter().filter_map(|id| self.people.get(id)).find(|person| person.is_named(member));
        match found {
            Some(person) => Reply::status(200, person.json()),
            None => Reply::error(404, "MemberNotFoundInConversation"),
        }
    }

    fn members(&self, conversation: &str, query: &str) -> Response {
        let parameters: BTreeMap<_, _> = query.split('&').filter_map(|one| one.split_once('=')).collect();
        let size: usize = parameters.get("pageSize").and_then(|size| size.parse().ok()).unwrap_or(200);
        if !(50..=500).contains(&size) {
            return Err("expected a pageSize of 50 to 500 members");
        }
        let Some(members) = self.rosters.get(conversation) else {
            return Ok(Reply::error(403, "BotNotInConversationRoster"));
        };
        let size = if self.page > 0 { self.page } else { size };
        let from: usize = parameters.get("continuationToken").map_or(0, |token| {
            percent_decode_str(token)
                .decode_utf8_lossy()
                .trim_start_matches("from/")
                .parse()
                .expect("a token")
        });
        let page: Vec<Value> =
            members.iter().skip(from).take(size).map(|id| self.people[id].json()).collect();
        let mut body = json!({ "members": page });
        if members.len() > from + size {
            body["continuationToken"] = format!("from/{}", from + size).into();
        }
        Ok(Reply::status(200, body))
    }
}
