//! The tables of the elements, actions and members that are allowed in a sender's card.

/// The kind of value that a member can have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Text with Markdown.
    Markdown,
    /// Text of one line, such as a title or an id.
    Line,
    /// A web address.
    Address,
    Bool,
    Number,
    /// Pixels, such as `50px`, or one of the listed words.
    Pixels(&'static [&'static str]),
    /// A number, pixels, or one of the listed words.
    Width(&'static [&'static str]),
    /// One of the listed words, in upper or lower case.
    Word(&'static [&'static str]),
    /// A colour as `#rrggbb` or `#aarrggbb`.
    Colour,
    /// An array of children. The [`Family`] decides which types the children can have.
    Children(Family),
    /// One action.
    Action,
    /// A background: a web address, or an object with a web address in `url`.
    Background,
    /// The ids of the elements that an action shows or hides.
    Targets,
    /// The card that an action opens.
    Card,
}

/// The types that are allowed for the children in one array. For example, the array `columns` of a
/// `ColumnSet` has children of the family `Column`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Element,
    Action,
    Column,
    Image,
    Fact,
    Inline,
    TableColumn,
    TableRow,
    TableCell,
}

/// A type of element or action, with its members.
pub(super) struct Type {
    pub(super) name: &'static str,
    pub(super) members: &'static [(&'static str, Kind)],
    /// The members that the element or action needs. If a required member is missing, the card leaves out the
    /// element or action.
    pub(super) required: &'static [&'static str],
}

use Kind::{
    Action, Address, Background, Bool, Card, Children, Colour, Line, Markdown, Number, Pixels, Targets,
    Width, Word,
};

const COLOURS: Kind = Word(&["default", "dark", "light", "accent", "good", "warning", "attention"]);
const STYLES: Kind = Word(&["default", "emphasis", "good", "attention", "warning", "accent"]);
const SIZES: Kind = Word(&["default", "small", "medium", "large", "extraLarge"]);
const WEIGHTS: Kind = Word(&["default", "lighter", "bolder"]);
const FONTS: Kind = Word(&["default", "monospace"]);
const SIDES: Kind = Word(&["left", "center", "right"]);
const ENDS: Kind = Word(&["top", "center", "bottom"]);
const IMAGE_SIZES: Kind = Word(&["auto", "stretch", "small", "medium", "large"]);

/// The members that are allowed in every element.
pub(super) const OF_ELEMENTS: &[(&str, Kind)] = &[
    ("height", Word(&["auto", "stretch"])),
    ("id", Line),
    ("isVisible", Bool),
    ("separator", Bool),
    ("spacing", Word(&["default", "none", "small", "medium", "large", "extraLarge", "padding"])),
];

/// The members that are allowed in every action.
pub(super) const OF_ACTIONS: &[(&str, Kind)] = &[
    ("title", Line),
    ("iconUrl", Address),
    ("id", Line),
    ("style", Word(&["default", "positive", "destructive"])),
    ("tooltip", Line),
    ("isEnabled", Bool),
    ("mode", Word(&["primary", "secondary"])),
];

/// The members that are allowed in the card itself, in addition to `type`, `version`, `body`, `actions` and
/// `msteams`.
pub(super) const OF_CARD: &[(&str, Kind)] = &[
    ("fallbackText", Line),
    ("backgroundImage", Background),
    ("minHeight", Pixels(&[])),
    ("rtl", Bool),
    ("lang", Line),
    ("speak", Line),
    ("selectAction", Action),
    ("verticalContentAlignment", ENDS),
];

pub(super) const ELEMENTS: &[Type] = &[
    Type {
        name: "TextBlock",
        members: &[
            ("text", Markdown),
            ("color", COLOURS),
            ("fontType", FONTS),
            ("horizontalAlignment", SIDES),
            ("isSubtle", Bool),
            ("maxLines", Number),
            ("size", SIZES),
            ("weight", WEIGHTS),
            ("wrap", Bool),
            ("style", Word(&["default", "heading"])),
        ],
        required: &["text"],
    },
    IMAGE,
    Type {
        name: "RichTextBlock",
        members: &[("inlines", Children(Family::Inline)), ("horizontalAlignment", SIDES)],
        required: &["inlines"],
    },
    Type { name: "FactSet", members: &[("facts", Children(Family::Fact))], required: &["facts"] },
    Type { name: "Container", members: OF_CONTAINER, required: &["items"] },
    Type {
        name: "ColumnSet",
        members: &[
            ("style", STYLES),
            ("bleed", Bool),
            ("minHeight", Pixels(&[])),
            ("horizontalAlignment", SIDES),
            ("selectAction", Action),
            ("columns", Children(Family::Column)),
        ],
        required: &["columns"],
    },
    Type {
        name: "ImageSet",
        members: &[("imageSize", IMAGE_SIZES), ("images", Children(Family::Image))],
        required: &["images"],
    },
    Type { name: "ActionSet", members: &[("actions", Children(Family::Action))], required: &["actions"] },
    Type {
        name: "Table",
        members: &[
            ("firstRowAsHeader", Bool),
            ("showGridLines", Bool),
            ("gridStyle", STYLES),
            ("horizontalCellContentAlignment", SIDES),
            ("verticalCellContentAlignment", ENDS),
            ("columns", Children(Family::TableColumn)),
            ("rows", Children(Family::TableRow)),
        ],
        required: &["rows"],
    },
];

const IMAGE: Type = Type {
    name: "Image",
    members: &[
        ("url", Address),
        ("altText", Line),
        ("backgroundColor", Colour),
        ("horizontalAlignment", SIDES),
        ("size", IMAGE_SIZES),
        ("style", Word(&["default", "person"])),
        ("width", Pixels(&[])),
        ("height", Pixels(&["auto", "stretch"])),
        ("selectAction", Action),
    ],
    required: &["url"],
};

const COLUMN: Type = Type {
    name: "Column",
    members: &[
        ("width", Width(&["auto", "stretch"])),
        ("style", STYLES),
        ("verticalContentAlignment", ENDS),
        ("bleed", Bool),
        ("minHeight", Pixels(&[])),
        ("backgroundImage", Background),
        ("selectAction", Action),
        ("items", Children(Family::Element)),
    ],
    required: &[],
};

const FACT: Type = Type {
    name: "Fact",
    members: &[("title", Markdown), ("value", Markdown)],
    required: &["title", "value"],
};

const TEXT_RUN: Type = Type {
    name: "TextRun",
    members: &[
        ("text", Markdown),
        ("color", COLOURS),
        ("fontType", FONTS),
        ("highlight", Bool),
        ("isSubtle", Bool),
        ("italic", Bool),
        ("size", SIZES),
        ("strikethrough", Bool),
        ("underline", Bool),
        ("weight", WEIGHTS),
        ("selectAction", Action),
    ],
    required: &["text"],
};

const TABLE_COLUMN: Type = Type {
    name: "TableColumnDefinition",
    members: &[
        ("width", Width(&[])),
        ("horizontalCellContentAlignment", SIDES),
        ("verticalCellContentAlignment", ENDS),
    ],
    required: &[],
};

const TABLE_ROW: Type = Type {
    name: "TableRow",
    members: &[
        ("style", STYLES),
        ("horizontalCellContentAlignment", SIDES),
        ("verticalCellContentAlignment", ENDS),
        ("cells", Children(Family::TableCell)),
    ],
    required: &["cells"],
};

/// The members of a container. A cell of a table has the same members.
const OF_CONTAINER: &[(&str, Kind)] = &[
    ("style", STYLES),
    ("verticalContentAlignment", ENDS),
    ("bleed", Bool),
    ("minHeight", Pixels(&[])),
    ("backgroundImage", Background),
    ("selectAction", Action),
    ("items", Children(Family::Element)),
];

const TABLE_CELL: Type = Type { name: "TableCell", members: OF_CONTAINER, required: &["items"] };

pub(super) const ACTIONS: &[Type] = &[
    Type { name: "Action.OpenUrl", members: &[("url", Address)], required: &["url"] },
    Type {
        name: "Action.ToggleVisibility",
        members: &[("targetElements", Targets)],
        required: &["targetElements"],
    },
    Type { name: "Action.ShowCard", members: &[("card", Card)], required: &["card"] },
];

/// The types of a family. If a family has only one type, a child of this family needs no member `type`.
pub(super) fn types(family: Family) -> &'static [Type] {
    match family {
        Family::Element => ELEMENTS,
        Family::Action => ACTIONS,
        Family::Column => &[COLUMN],
        Family::Image => &[IMAGE],
        Family::Fact => &[FACT],
        Family::Inline => &[TEXT_RUN],
        Family::TableColumn => &[TABLE_COLUMN],
        Family::TableRow => &[TABLE_ROW],
        Family::TableCell => &[TABLE_CELL],
    }
}

/// The members that are allowed in all types of a family.
pub(super) fn shared(family: Family) -> &'static [(&'static str, Kind)] {
    match family {
        Family::Element | Family::Image => OF_ELEMENTS,
        Family::Action => OF_ACTIONS,
        Family::Column => OF_COLUMNS,
        Family::Fact | Family::Inline | Family::TableColumn | Family::TableRow | Family::TableCell => &[],
    }
}

const OF_COLUMNS: &[(&str, Kind)] = &[
    ("id", Line),
    ("isVisible", Bool),
    ("separator", Bool),
    ("spacing", Word(&["default", "none", "small", "medium", "large", "extraLarge", "padding"])),
];
