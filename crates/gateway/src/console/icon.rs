//! The console's own line icons: 16 × 16, one stroke, in the colour of the text.

use maud::{Markup, html};

/// A tick.
pub const CHECK: &str = "M3 8.5 6.5 12 13 4.5";
/// A cross.
pub const CROSS: &str = "M4 4l8 8M12 4l-8 8";
/// A dash.
pub const DASH: &str = "M4 8h8";
/// A dot.
pub const DOT: &str = "M8 7.5a.5.5 0 1 0 0 1 .5.5 0 0 0 0-1";
/// A triangle.
pub const PLAY: &str = "M5.5 3.5v9l7-4.5z";
/// Two bars.
pub const PAUSE: &str = "M5.5 3.5v9M10.5 3.5v9";
/// An hourglass.
pub const HOURGLASS: &str = "M4 2h8M4 14h8M5 2v2.5L8 8l3-3.5V2M5 14v-2.5L8 8l3 3.5V14";
/// A ticked seal.
pub const SEAL: &str =
    "M8 1.5 13 3.5v4c0 3.2-2 5.6-5 7-3-1.400-5-3.800-5-7v-4zM5.500 8 7.300 9.800 10.700 6.200";
/// A question mark.
pub const QUESTION: &str = "M5.500 6a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .7-1 1.400M8 12.500v.1";
/// An arrow that returns.
pub const REPEAT: &str = "M13 8a5 5 0 1 1-1.500-3.500L13 6M13 2.500V6H9.500";
/// An arrow back to the left.
pub const BACK: &str = "M6 3.500 2.500 7 6 10.500M2.500 7H10a3.500 3.500 0 0 1 0 7H7";
/// A flag.
pub const FLAG: &str = "M4 14.500v-12M4 3h8l-2 3 2 3H4";
/// A line that parts.
pub const FORK: &str = "M4 14V2M4 9c0-3 8-1 8-5V2.500M10 4.500l2-2 2 2";
/// A line with a beat: health.
pub const PULSE: &str = "M1.500 8.500H5l2-5 2.500 9 1.500-4h3.500";
/// Braking: a stop sign.
pub const STOP: &str = "M5.500 2h5L14 5.500v5L10.500 14h-5L2 10.500v-5zM5.500 8h5";
/// A sheet with a tick.
pub const PLAN: &str = "M3.500 1.500h9v13h-9zM5.500 5h5M5.500 11l1.500 1.500L10.500 9";
/// A lens.
pub const SEARCH: &str = "M7 2.500a4.500 4.500 0 1 0 0 9 4.500 4.500 0 0 0 0-9M10.300 10.300 14 14";
/// A box.
pub const BOX: &str = "M2 5l6-3 6 3v6l-6 3-6-3zM2 5l6 3 6-3M8 8v6";
/// A person.
pub const PERSON: &str =
    "M8 2.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5M3 14c.3-3 2.200-4.500 5-4.500s4.700 1.500 5 4.500";
/// A gauge.
pub const GAUGE: &str = "M2.500 12a6 6 0 1 1 11 0M8 9.500l3-4";
/// Lines of a list.
pub const LIST: &str = "M2 4h1M2 8h1M2 12h1M6 4h8M6 8h8M6 12h8";
/// An inbox.
pub const INBOX: &str = "M2 9l2-6h8l2 6v4H2zM2 9h3.500l1 2h3l1-2H14";
/// Sliders.
pub const SLIDERS: &str = "M4 2v6M4 11v3M8 2v2M8 7v7M12 2v8M12 13v1M2.500 8h3M6.500 4.500h3M10.500 10.500h3";
/// A book.
pub const BOOK: &str = "M3 2.500h8.500a1.500 1.500 0 0 1 1.500 1.500v10H4.500A1.500 1.500 0 0 1 3 12.500zM3 12.500A1.500 1.500 0 0 1 4.500 11H13";
/// Boxes in a flow.
pub const FLOW: &str = "M2 2.500h5v3H2zM9 10.500h5v3H9zM4.500 5.500V12H9";
/// A clock.
pub const CLOCK: &str = "M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2M8 4.500V8l2.500 2";
/// A plug.
pub const PLUG: &str = "M5.500 1.500v3M10.500 1.500v3M4 4.500h8V8a4 4 0 0 1-8 0zM8 12v2.500";
/// Scales.
pub const SCALES: &str = "M8 2v12M4.500 14h7M3 4h10M3 4 1.500 9h3zM13 4l-1.500 5h3z";
/// A warning sign.
pub const WARNING: &str = "M8 2 14.500 13.500h-13zM8 6.500V10M8 12v.1";
/// A half-filled disc: the theme.
pub const THEME: &str = "M8 2a6 6 0 1 0 0 12V2M8 2a6 6 0 0 1 0 12";
/// Three lines: the menu.
pub const MENU: &str = "M2 4h12M2 8h12M2 12h12";
/// A door with an arrow.
pub const EXIT: &str = "M9 2.500H3v11h6M6.500 8H14M11.500 5.500 14 8l-2.500 2.500";
/// A keyboard.
pub const KEYS: &str = "M1.500 4h13v8h-13zM4 6.500h.1M6.700 6.500h.1M9.300 6.500h.1M12 6.500h.1M5 9.500h6";
/// The mark of the product: a hub with three spokes.
pub const HUB: &str = "M8 5.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5M8 5.500V1.500M5.800 9.300 2.300 11.500M10.200 9.300l3.500 2.200";

/// Draws one; it is decoration, the word beside it carries the meaning.
pub fn draw(path: &str) -> Markup {
    html! {
        svg.icon viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false" { path d=(path) {} }
    }
}
