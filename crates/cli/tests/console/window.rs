//! A browser window that looks at the console: it navigates, presses keys, clicks, and waits for what should appear.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use base64::Engine as _;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value as Json, json};
use testkit::{Client, Driver};

/// What does not appear within this time does not appear.
const WAIT_MAX: Duration = Duration::from_secs(45);
/// Pause between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// The key that submits.
pub const ENTER: char = '\u{e007}';

/// A browser of its own, with one page.
pub struct Window {
    browser: fantoccini::Client,
    /// `http://…` of the server.
    base: String,
}

/// How the page is shown.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// CSS pixels.
    pub width: u32,
    /// CSS pixels.
    pub height: u32,
    /// `dark` or `light`.
    pub theme: &'static str,
}

impl Window {
    /// Opens a browser that is not signed in.
    pub async fn open(driver: &Driver, server: &Client) -> Self {
        let browser = ClientBuilder::new(HttpConnector::new())
            .capabilities(driver.capabilities())
            .connect(&driver.address())
            .await
            .expect("a browser starts");
        Self { browser, base: format!("http://{}", server.address) }
    }

    /// Opens a browser and signs in at `path`, as people do who follow a link.
    pub async fn signed_in(driver: &Driver, who: &Client, path: &str) -> Self {
        let window = Self::open(driver, who).await;
        window.go(path).await;
        window.sign_in(who).await;
        window.until(&format!("location.pathname + location.search == {}", json!(path))).await;
        window.live().await;
        window
    }

    /// The same browser, for a server that listens elsewhere.
    pub fn at(window: Self, server: &Client) -> Self {
        Self { browser: window.browser, base: format!("http://{}", server.address) }
    }

    /// Fills in the sign-in page, which must be there.
    pub async fn sign_in(&self, who: &Client) {
        self.see("h1", "Sign in").await;
        self.keys(who.token.as_deref().expect("somebody with a token")).await;
        self.keys(&ENTER.to_string()).await;
    }

    /// Waits until the page's feed is open, so that what happens next cannot be missed.
    pub async fn live(&self) {
        self.see("#live-mark span", "live").await;
    }

    /// Opens a page of the console.
    pub async fn go(&self, path: &str) {
        self.browser
            .goto(&format!("{}{path}", self.base))
            .await
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Clicks the one element; panics when it cannot be clicked.
    pub async fn click(&self, css: &str) {
        self.until(&format!("document.querySelector({})", json!(css))).await;
        let element =
            self.browser.find(Locator::Css(css)).await.unwrap_or_else(|error| panic!("`{css}`: {error}"));
        element.click().await.unwrap_or_else(|error| panic!("`{css}`: {error}"));
    }

    /// Clicks into a field and writes.
    pub async fn write(&self, css: &str, text: &str) {
        self.click(css).await;
        self.keys(text).await;
    }

    /// Clicks into a field and writes over what stands there.
    pub async fn overwrite(&self, css: &str, text: &str) {
        self.click(css).await;
        self.run(&format!("document.querySelector({}).select()", json!(css))).await;
        self.keys(text).await;
    }

    /// Presses keys, one after the other, wherever the focus is.
    pub async fn keys(&self, text: &str) {
        let actions = text.chars().fold(KeyActions::new("keyboard".to_owned()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.browser.perform_actions(actions).await.expect("keys are pressed");
    }

    /// The visible text of the first element; empty when there is none.
    pub async fn text(&self, css: &str) -> String {
        let script = format!("document.querySelector({})?.innerText ?? ''", json!(css));
        self.run(&script).await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until some element holds these words, in any letter case.
    pub async fn see(&self, css: &str, words: &str) {
        self.until(&format!(
            "[...document.querySelectorAll({})].some(e => e.innerText.toLowerCase().includes({}))",
            json!(css),
            json!(words.to_lowercase())
        ))
        .await;
    }

    /// Waits until no such element is there.
    pub async fn gone(&self, css: &str) {
        self.until(&format!("!document.querySelector({})", json!(css))).await;
    }

    /// Waits until the expression is true; panics with what the page shows when it never is.
    pub async fn until(&self, expression: &str) {
        let began = Instant::now();
        // While a page is being left, nothing can be asked of it.
        while !self.ask(&format!("Boolean({expression})")).await.is_ok_and(|answer| answer == json!(true)) {
            if began.elapsed() > WAIT_MAX {
                let at = self.browser.current_url().await.map(|url| url.to_string()).unwrap_or_default();
                let page = self.text("body").await;
                panic!("never came true: {expression}\nat {at}:\n{page}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The value of an expression.
    pub async fn run(&self, expression: &str) -> Json {
        self.ask(expression).await.unwrap_or_else(|error| panic!("{expression}: {error}"))
    }

    /// Leaves a mark that a reload would take away.
    pub async fn mark(&self) {
        self.run("window.untouched = true").await;
    }

    /// True when the page was not loaded again since [`Window::mark`].
    pub async fn is_marked(&self) -> bool {
        self.run("window.untouched === true").await == json!(true)
    }

    /// The address without the server's part.
    pub async fn path(&self) -> String {
        self.run("location.pathname").await.as_str().unwrap_or_default().to_owned()
    }

    /// Shows everything from here on at this size and in this theme.
    pub async fn show_on(&self, screen: Screen) {
        let metrics =
            json!({"width": screen.width, "height": screen.height, "deviceScaleFactor": 1, "mobile": false});
        self.protocol("Emulation.setDeviceMetricsOverride", metrics).await;
        // A scroll bar would hide what overflows by less than its width.
        self.protocol("Emulation.setScrollbarsHidden", json!({"hidden": true})).await;
        let media = json!({"features": [{"name": "prefers-color-scheme", "value": screen.theme}]});
        self.protocol("Emulation.setEmulatedMedia", media).await;
    }

    /// Keeps the whole page as `target/screenshots/{name}.png`.
    pub async fn picture(&self, name: &str) {
        let shot = self
            .protocol("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true}))
            .await;
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(shot["data"].as_str().unwrap_or_default())
            .expect("a picture in base64");
        assert!(!bytes.is_empty(), "the picture of {name} is empty");
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        std::fs::create_dir_all(&folder).expect("the folder is made");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("the picture is kept");
    }

    /// What the browser complained about since the last call: script errors, refused styles and scripts, failed loads.
    pub async fn complaints(&self) -> Vec<String> {
        let log = self.command("se/log", json!({"type": "browser"})).await;
        let lines = log.as_array().cloned().unwrap_or_default();
        lines.iter().map(|line| format!("{} {}", line["level"], line["message"])).collect()
    }

    async fn ask(&self, expression: &str) -> Result<Json, fantoccini::error::CmdError> {
        self.browser.execute(&format!("return ({expression})"), Vec::new()).await
    }

    async fn protocol(&self, method: &str, parameters: Json) -> Json {
        self.command("goog/cdp/execute", json!({"cmd": method, "params": parameters})).await
    }

    async fn command(&self, path: &'static str, body: Json) -> Json {
        let done = self.browser.issue_cmd(Command { path, body }).await;
        done.unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

/// A command of chromedriver beyond the standard.
#[derive(Debug)]
struct Command {
    path: &'static str,
    body: Json,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (hyper::Method, Option<String>) {
        (hyper::Method::POST, Some(self.body.to_string()))
    }
}
