//! A real Chromium without a window, spoken to over two pipes in its own protocol.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};

/// Longest time for one answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// It finds no host by any name, so that what a page asks for never leaves this machine.
const START: &str = "exec chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
    --no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-extensions \
    '--host-resolver-rules=MAP * ~NOTFOUND' --remote-debugging-pipe \"--user-data-dir=$1\" about:blank \
    3<&0 4>&1 </dev/null >/dev/null 2>&1";

/// How a page is looked at.
#[derive(Debug, Clone, Copy)]
pub struct View {
    /// CSS pixels.
    pub width: u32,
    pub dark: bool,
    /// Whether scripts of pages may run.
    pub scripts: bool,
}

/// As wide as most desktops, and as most phones.
pub const DESKTOP: View = View { width: 1280, dark: false, scripts: true };
pub const PHONE: View = View { width: 390, dark: false, scripts: true };

/// The browser with its only page.
pub struct Browser {
    process: Child,
    answers: Receiver<Value>,
    asked: u64,
    session: Option<String>,
    events: Vec<Value>,
    directory: tempfile::TempDir,
}

impl Browser {
    /// Starts one.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Command::new("bash")
            .args(["-c", START, "chromium"])
            .arg(directory.path().join("profile"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = BufReader::new(process.stdout.take().unwrap());
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while pipe.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                let value = serde_json::from_slice(message.strip_suffix(&[0]).unwrap_or(&message)).unwrap();
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut browser = Self { process, answers, asked: 0, session: None, events: Vec::new(), directory };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.ask("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    fn receive(&mut self) -> Value {
        self.answers.recv_timeout(PATIENCE).expect("chromium answers")
    }

    /// One command and its result; what happens meanwhile is kept.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({"id": self.asked, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let input = self.process.stdin.as_mut().unwrap();
        input.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let answer = self.receive();
            if answer["id"] == self.asked {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    /// Loads a page from a file, as somebody would who got it by mail.
    pub fn open(&mut self, page: &str, view: View) {
        let path = self.directory.path().join("page.html");
        std::fs::write(&path, page).unwrap();
        let View { width, dark, scripts } = view;
        let phone = width < 600;
        let (height, scale) = if phone { (844, 2) } else { (800, 1) };
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": scale, "mobile": phone}),
        );
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features}));
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": !scripts}));
        self.events.clear();
        self.ask("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.receive();
            self.events.push(event);
        }
        // What a page does a moment later counts as well.
        std::thread::sleep(Duration::from_millis(300));
        self.value("0");
    }

    /// What it asked for besides itself, and what it said to the console, since it was opened.
    pub fn told(&self) -> Vec<String> {
        let told = |event: &Value| match event["method"].as_str()? {
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str()?;
                (!url.ends_with("/page.html")).then(|| format!("request {url}"))
            }
            "Log.entryAdded" => Some(format!("log {}", event["params"]["entry"]["text"])),
            "Runtime.consoleAPICalled" => Some(format!("console {}", event["params"]["args"])),
            "Runtime.exceptionThrown" => Some(format!("exception {}", event["params"]["exceptionDetails"])),
            "Page.javascriptDialogOpening" => Some(format!("dialog {}", event["params"]["message"])),
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }

    /// The value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.ask("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {}", result["exceptionDetails"]);
        result["result"]["value"].clone()
    }

    /// Clicks the middle of an element, as a finger does.
    pub fn click(&mut self, selector: &str) {
        let at = self.value(&format!(
            "(() => {{ const one = document.querySelector({selector:?}); one.scrollIntoView({{block: 'center', behavior: 'instant'}}); \
             const box = one.getBoundingClientRect(); return [box.x + box.width / 2, box.y + box.height / 2] }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({"type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1});
            self.ask("Input.dispatchMouseEvent", event);
        }
    }

    /// A picture of the page from `top` on, at most `height` of it, CSS pixels.
    pub fn shoot(&mut self, path: &Path, (top, height): (u32, u32)) {
        let size = self.ask("Page.getLayoutMetrics", json!({}))["cssContentSize"].clone();
        let left = size["height"].as_f64().unwrap() - f64::from(top);
        let clip = json!({"x": 0, "y": top, "width": size["width"], "height": left.min(f64::from(height)), "scale": 1});
        let shot = self.ask(
            "Page.captureScreenshot",
            json!({"format": "png", "captureBeyondViewport": true, "clip": clip, "optimizeForSpeed": false}),
        );
        let bytes = base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its own end takes its helpers along.
        drop(self.process.stdin.take());
        for _ in 0..50 {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
