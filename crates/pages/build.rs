//! Compiles the layer under SQLite, with the header of the very SQLite that is linked.

fn main() {
    println!("cargo:rerun-if-changed=src/pages.c");
    let include = std::env::var_os("DEP_SQLITE3_INCLUDE").unwrap_or_default();
    // Every page that is read or written goes through it, in debug builds too.
    cc::Build::new().file("src/pages.c").include(include).opt_level(2).warnings(true).compile("pages_layer");
}
