//! Compiles the layer under SQLite, with the header of the very SQLite that is linked.

fn main() {
    println!("cargo:rerun-if-changed=src/layer.c");
    let include = std::env::var_os("DEP_SQLITE3_INCLUDE").unwrap_or_default();
    cc::Build::new().file("src/layer.c").include(include).warnings(true).compile("faulty_disk_layer");
}
