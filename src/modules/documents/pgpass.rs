//! `conf/secrets/pgpass`: libpq's passfile, `HOST:PORT:DATABASE:USER:PASSWORD`.
//!
//! libpq ignores it unless only its owner may read it. `:` and `\` in a field are escaped by `\`
//! (PostgreSQL documentation, "The Password File").

use crate::modules::documents::line;
use crate::modules::interpolate::{Problem, Scope};
use crate::resource::{Content, Piece, Quote};

pub(super) fn content(scope: Scope<'_>) -> Result<Content, Problem> {
    let field = |text: &str| text.replace('\\', "\\\\").replace(':', "\\:");
    let host = field(line(scope, "postgresql.address")?);
    let port = scope.lookup("postgresql.port")?;
    let database = field(line(scope, "postgresql.database")?);
    let role = field(line(scope, "postgresql.role")?);
    let name = line(scope, "postgresql.password")?.to_owned();
    Ok(Content(vec![
        Piece::Text(format!("{host}:{port}:{database}:{role}:")),
        Piece::Secret { name, quote: Quote::Pgpass },
        Piece::Text("\n".to_owned()),
    ]))
}
