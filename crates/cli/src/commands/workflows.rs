//! `workflows`: publish, check and look; and what needs no server: form, picture, tests.

mod format;
mod test;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::Value as Json;

use crate::cli::Global;
use crate::client::{Client, segment};
use crate::commands::{PageArgs, connect, input, say_next};
use crate::exit::{Exit, Failure};
use crate::json::{items, joined, list, text, truth, when, workflow};
use crate::screen::{Output, Screen, Tone, line, pretty, short};

/// `omnihub workflows …`
#[derive(Debug, Subcommand)]
pub(crate) enum Workflows {
    /// Publish workflow documents (YAML or JSON); a published version never changes.
    Publish {
        /// Files; `-` is stdin.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Check documents without publishing; exit code 1 when one cannot be published.
    Validate {
        /// Files; `-` is stdin.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Write documents in their one form: order, comments and quotes stay, indentation and spaces do not.
    Fmt {
        /// Files, written in place; `-` is stdin, written to stdout.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Write nothing; exit code 1 when a file would change.
        #[arg(long)]
        check: bool,
    },
    /// Draw a document as SVG: tasks, where the flow goes, branches, loops, what is caught.
    Graph {
        /// The file; `-` is stdin.
        file: PathBuf,
        /// Where to write it; stdout when absent.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Run files of cases: input, simulated answers, and what must come of it. No server, nothing outside.
    Test {
        /// Files of cases.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Only cases whose name has this in it.
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
    },
    /// Print the JSON Schema of workflow documents, for editors.
    Schema,
    /// List published workflows.
    List(PageArgs),
    /// Show one: `namespace/name` or `namespace/name:version`.
    Show {
        /// The workflow.
        name: String,
        /// Print the text as it was published.
        #[arg(long)]
        source: bool,
    },
}

/// Runs one of the commands. Those that look only at files ask no server.
pub(crate) async fn run(global: &Global, screen: Screen, command: Workflows) -> Result<(), Failure> {
    let client = || connect::client(global);
    match command {
        Workflows::Publish { files } => publish(&client()?, screen, files).await,
        Workflows::Validate { files } => validate(&client()?, screen, files).await,
        Workflows::Fmt { files, check } => format::run(screen, &files, check),
        Workflows::Graph { file, to } => graph_of(&file, to.as_deref()),
        Workflows::Test { files, only } => test::run(screen, &files, only.as_deref()),
        Workflows::Schema => line(&pretty(&dsl::json_schema::workflow())),
        Workflows::List(page) => list_page(&client()?, screen, page).await,
        Workflows::Show { name, source } => show(&client()?, screen, &name, source).await,
    }
}

async fn publish(client: &Client, screen: Screen, files: Vec<PathBuf>) -> Result<(), Failure> {
    for file in files {
        let text = input::document(&file)?;
        let kind = input::kind_of(&text);
        let published = client.post_text("/workflows", kind, text).await.map_err(|f| named(f, &file))?;
        screen.data(&published, || published_line(screen, &published))?;
    }
    Ok(())
}

async fn list_page(client: &Client, screen: Screen, page: PageArgs) -> Result<(), Failure> {
    let page = client.query("/workflows", &page.query()).await?;
    screen.data(&page, || {
        let rows = items(&page).iter().map(|item| {
            let name = format!("{}/{}", text(item, "/namespace"), text(item, "/name"));
            vec![
                name,
                text(item, "/version"),
                short(&text(item, "/title"), 40),
                text(item, "/owner"),
                when(item, "/published_at"),
            ]
        });
        screen.table(&["workflow", "version", "title", "owner", "published"], rows.collect())
    })?;
    say_next(screen, &page);
    Ok(())
}

fn graph_of(file: &Path, to: Option<&Path>) -> Result<(), Failure> {
    let text = input::document(file)?;
    let picture = dsl::picture::draw(&text, dsl::picture::Frame::File)
        .map_err(|problems| format::refused(file, &problems))?;
    match to {
        None => line(&picture),
        Some(to) => std::fs::write(to, picture + "\n")
            .map_err(|error| Failure::usage(format!("`{}` cannot be written: {error}", to.display()))),
    }
}

/// Says which file a failure belongs to.
pub(crate) fn named(mut failure: Failure, file: &std::path::Path) -> Failure {
    failure.message = format!("{}: {}", file.display(), failure.message);
    failure
}

async fn validate(client: &Client, screen: Screen, files: Vec<PathBuf>) -> Result<(), Failure> {
    let mut wrong = 0;
    for file in files {
        let text = input::document(&file)?;
        let kind = input::kind_of(&text);
        let checked =
            client.post_text("/workflows/validate", kind, text).await.map_err(|f| named(f, &file))?;
        if !truth(&checked, "/valid") {
            wrong += 1;
        }
        screen.data(&checked, || checked_lines(screen, &file.display().to_string(), &checked))?;
    }
    match wrong {
        0 => Ok(()),
        1 => Err(Failure::new(Exit::Failed, "one document cannot be published")),
        n => Err(Failure::new(Exit::Failed, format!("{n} documents cannot be published"))),
    }
}

fn checked_lines(screen: Screen, file: &str, checked: &Json) -> String {
    let mut lines = Vec::new();
    if truth(checked, "/valid") {
        let digest = text(checked, "/digest");
        lines.push(format!(
            "{file}: {} {} {}",
            screen.paint(Tone::Good, "fine"),
            workflow(checked, "/workflow"),
            digest
        ));
    }
    for problem in list(checked, "/problems") {
        let place = format!("{file}:{}:{}", text(problem, "/line"), text(problem, "/column"));
        lines.push(format!(
            "{place}: {} {}",
            screen.paint(Tone::Bad, &text(problem, "/code")),
            text(problem, "/message")
        ));
        let hint = text(problem, "/hint");
        if !hint.is_empty() {
            lines.push(format!("    {}", screen.paint(Tone::Faint, &hint)));
        }
    }
    lines.join("\n")
}

async fn show(client: &Client, screen: Screen, name: &str, source: bool) -> Result<(), Failure> {
    let parts = crate::commands::goals::workflow_of(name)?;
    let version = match text(&parts, "/version") {
        none if none.is_empty() => "latest".to_owned(),
        version => version,
    };
    let path = format!(
        "/workflows/{}/{}/{}",
        segment(&text(&parts, "/namespace")),
        segment(&text(&parts, "/name")),
        segment(&version)
    );
    let view = client.get(&path).await?;
    if source && screen.output == Output::Table {
        return line(text(&view, "/source").trim_end());
    }
    screen.data(&view, || {
        let mut lines = vec![published_line(screen, &view), text(&view, "/summary")];
        lines.push(format!("digest   {}", text(&view, "/digest")));
        lines.push(format!("owner    {}", text(&view, "/owner")));
        lines.push(format!("actions  {}", joined(&view, "/actions")));
        for intent in list(&view, "/intents") {
            lines.push(format!("say      {}", text(intent, "")));
        }
        lines.push(String::new());
        graph(list(&view, "/graph"), 0, &mut lines);
        lines.join("\n")
    })
}

/// The task tree, indented; at most as deep as documents may be.
fn graph(nodes: &[Json], depth: usize, lines: &mut Vec<String>) {
    for node in nodes {
        lines.push(format!(
            "{}{}  {} {}",
            "  ".repeat(depth),
            text(node, "/name"),
            text(node, "/kind"),
            text(node, "/label")
        ));
        if depth < 64 {
            graph(list(node, "/children"), depth + 1, lines);
        }
    }
}

fn published_line(screen: Screen, view: &Json) -> String {
    let name = format!("{}/{}:{}", text(view, "/namespace"), text(view, "/name"), text(view, "/version"));
    format!("{}  {}", screen.paint(Tone::Strong, &name), text(view, "/title"))
}
