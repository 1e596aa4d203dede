"""Statements that would read a file, write one, run a program, or connect to a port, were they let."""
# ruff: noqa: S608

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

SECRET = "s3cret-of-the-machine"


def functions(secret: Path, out: Path, port: int) -> Iterator[str]:
    """By table functions and scalar ones, however their names are written."""
    url = f"http://127.0.0.1:{port}/x"
    here = f"127.0.0.1:{port}"
    for source in (
        f"file('{secret}', 'LineAsString', 'x String')",
        f"FILE('{secret}', 'LineAsString', 'x String')",
        f"`file`('{secret}', 'LineAsString', 'x String')",
        f"\"file\"('{secret}', LineAsString)",
        f"file/**/(\n'{secret}', LineAsString)",
        f"file -- a\n('{secret}', LineAsString)",
        f"filesystem('{secret.parent}')",
        f"fileCluster('default', '{secret}', 'LineAsString', 'x String')",
        f"url('{url}', 'LineAsString', 'x String')",
        f"url('file://{secret}', 'LineAsString', 'x String')",
        f"urlCluster('default', '{url}', 'LineAsString', 'x String')",
        f"s3('{url}/b/k.csv', 'CSV', 'x String')",
        f"s3('{url}/b/k.csv', NOSIGN, 'CSV', 'x String')",
        f"gcs('{url}/b/k.csv', NOSIGN, 'CSV', 'x String')",
        f"hdfs('hdfs://{here}/x', 'CSV', 'x String')",
        f"azureBlobStorage('http://{here}/a', 'c', 'x.csv', 'a', 'YQ==', 'CSV', 'auto', 'x String')",
        f"remote('{here}', 'system', 'one')",
        f"remoteSecure('{here}', 'system', 'one')",
        "cluster('default', 'system', 'one')",
        f"mysql('{here}', 'd', 't', 'u', 'p')",
        f"postgresql('{here}', 'd', 't', 'u', 'p')",
        f"mongodb('{here}', 'd', 'c', 'u', 'p', 'x String')",
        f"redis('{here}', 'x', 'x String')",
        f"sqlite('{secret}', 't')",
        f"jdbc('jdbc:x://{here}', 't')",
        "odbc('DSN=x', 't')",
        f"iceberg('{url}', NOSIGN)",
        f"icebergLocal('{secret.parent}')",
        f"deltaLake('{url}', NOSIGN)",
        f"deltaLakeLocal('{secret.parent}')",
        f"hudi('{url}', NOSIGN)",
        f"paimonLocal('{secret.parent}')",
        "executable('cat', 'TSV', 'x String')",
        f"executable('../../../../bin/cp {secret} {out}/x', 'TSV', 'x String')",
        f"python('{secret}')",
        "Python(secret)",
        f"arrowstream('{secret}')",
        f"eval(concat('SELECT fi', 'le(''{secret}'')'))",
        f"format(JSONEachRow, 'x Int, y String DEFAULT file(''{secret}'')', '{{\"x\":1}}')",
        f"format(JSONEachRow, concat('x Int, y String DEFAULT fi', 'le(''{secret}'')'), '{{\"x\":1}}')",
        f"FORMAT /* ( */ (JSONEachRow, concat('x Int, y String DEFAULT fi', 'le(''{secret}'')'), '{{\"x\":1}}')",
        f"`format`(JSONEachRow, concat('x Int, y String DEFAULT fi', 'le(''{secret}'')'), '{{\"x\":1}}')",
        f"values(concat('x Int, y String DEFAULT fi', 'le(''{secret}'')'), (1, ''))",
        f"(SELECT * FROM (SELECT file('{secret}')))",
        f"view(SELECT file('{secret}'))",
        f"`{secret}`",
        f"default.`{secret}`",
        f'"{secret}"',
    ):
        yield f"SELECT * FROM {source}"
    for expression in (
        f"file('{secret}')",
        f"`file`('{secret}')",
        f"\"fi\\x6ce\"('{secret}')",
        f"`fi\\x6Ce`('{secret}')",
        f"file\u00a0('{secret}')",
        f"arrayMap(file, ['{secret}'])",
        f"* APPLY file FROM (SELECT '{secret}')",
        f"* APPLY(x -> file(x)) FROM (SELECT '{secret}')",
        f"(SELECT file('{secret}'))",
        f"1 AS file, file('{secret}')",
        f"catboostEvaluate('{secret}', 1)",
        f"aiGenerate('{url}', 'x')",
        f"dictGet('{secret}', 'x', 1)",
        f"/* {{ */ file /* }} */ ('{secret}')",
        f"'a' /* ' */, file('{secret}') -- '",
    ):
        yield f"SELECT {expression}"
    yield f"WITH file('{secret}') AS x SELECT x"
    yield f"FROM (SELECT 1) SELECT file('{secret}')"
    yield f"EXPLAIN SELECT file('{secret}')"
    yield f"DESCRIBE TABLE file('{secret}')"
    yield f"SELECT 1 WHERE throwIf(1, file('{secret}'))"


def settings(secret: Path, out: Path, port: int) -> Iterator[str]:
    """By settings that name a file, a port or a place, and by being let off what holds."""
    template = f"SELECT 1 AS x FORMAT Template SETTINGS format_template_resultset = '{secret}'"
    yield template
    yield f"SET format_template_resultset = '{secret}'"
    yield f"SELECT 1 FORMAT Protobuf SETTINGS format_schema = '{secret}:M'"
    yield f"SELECT * FROM s SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:{port}/'"
    yield f"SELECT 1 INTO OUTFILE '{out}/a'"
    yield f"SELECT 1 into /**/ outfile '{out}/b' FORMAT TSV"
    yield f"SELECT 1 INTO OUTFILE '{out}/c' TRUNCATE AND STDOUT COMPRESSION 'gzip' FORMAT TSV"
    yield "SET readonly = 0"
    yield f"SELECT file('{secret}') SETTINGS readonly = 0"
    yield f"SELECT * FROM url('http://127.0.0.1:{port}/', CSV, 'x String') SETTINGS readonly = 0, allow_ddl = 1"
    yield f"SELECT * FROM eval('SELECT * FROM file(''{secret}'')') SETTINGS allow_experimental_eval_table_function = 1"


def writes(secret: Path, out: Path, port: int) -> Iterator[str]:
    """By what only a user that writes may say: tables, databases, dictionaries, functions, backups, INSERT."""
    url = f"http://127.0.0.1:{port}/x"
    for engine in (
        f"File(TSV, '{out}/t')",
        f"URL('{url}', CSV)",
        f"S3('{url}/k', NOSIGN, 'CSV')",
        f"HDFS('hdfs://127.0.0.1:{port}/x', 'CSV')",
        f"Kafka('127.0.0.1:{port}', 't', 'g', 'CSV')",
        f"MySQL('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
        f"PostgreSQL('127.0.0.1:{port}', 'd', 't', 'u', 'p')",
        f"MongoDB('127.0.0.1:{port}', 'd', 'c', 'u', 'p')",
        f"Redis('127.0.0.1:{port}')",
        f"SQLite('{secret}', 't')",
        f"EmbeddedRocksDB(0, '{out}/rocks') PRIMARY KEY x",
        f"/**/ `EmbeddedRocksDB` (0, '{out}/rocks') PRIMARY KEY x",
        f"FileLog('{secret.parent}', 'LineAsString')",
        "Executable('cat', 'TSV')",
        "ExecutablePool('cat', 'TSV')",
        f"IcebergLocal('{secret.parent}')",
        f"Python('{secret}')",
        "Distributed('default', 'system', 'one')",
        f"MergeTree ORDER BY x SETTINGS disk = disk(type = local, path = '{out}/')",
        f"MergeTree ORDER BY x SETTINGS disk = disk(type = web, endpoint = '{url}/')",
        f"MergeTree ORDER BY x SETTINGS disk = disk(type = s3, endpoint = '{url}/', access_key_id = 'a')",
        "MergeTree ORDER BY x SETTINGS storage_policy = 's3'",
    ):
        yield f"CREATE TABLE away (x String) ENGINE = {engine}"
        yield f"CREATE OR REPLACE TABLE away (x String) ENGINE {engine}"
        yield f"CREATE TEMPORARY TABLE away (x String) ENGINE = {engine}"
    yield f"CREATE TABLE away AS file('{secret}', 'LineAsString', 'x String')"
    yield f"CREATE TABLE away (x Int, y String DEFAULT file('{secret}')) ENGINE = Memory"
    yield f"CREATE TABLE away ENGINE = Memory AS SELECT file('{secret}') AS x"
    yield f"CREATE VIEW away AS SELECT * FROM file('{secret}', 'LineAsString', 'x String')"
    yield f"CREATE VIEW away AS SELECT file('{secret}') AS x"
    yield f"CREATE TABLE a (x Int) ENGINE = Memory PARALLEL WITH CREATE TABLE b (x Int) ENGINE = FileLog('{out}', CSV)"
    for engine in (
        f"Filesystem('{secret.parent}')",
        f"SQLite('{out}/x.sqlite')",
        f"MySQL('127.0.0.1:{port}', 'd', 'u', 'p')",
        f"PostgreSQL('127.0.0.1:{port}', 'd', 'u', 'p')",
        f"S3('{url}', 'NOSIGN')",
        f"Backup('d', File('{out}/x'))",
        f"DataLakeCatalog('{url}')",
    ):
        yield f"CREATE DATABASE away ENGINE = {engine}"
    for source in (
        f"FILE(PATH '{secret}' FORMAT 'LineAsString')",
        f"HTTP(URL '{url}' FORMAT 'CSV')",
        "EXECUTABLE(COMMAND 'cat' FORMAT 'CSV')",
        f"CLICKHOUSE(HOST '127.0.0.1' PORT {port} DB 'd' TABLE 't')",
        f"MYSQL(HOST '127.0.0.1' PORT {port} DB 'd' TABLE 't' USER 'u' PASSWORD 'p')",
    ):
        yield f"CREATE DICTIONARY away (k UInt64, v String) PRIMARY KEY k SOURCE({source}) LAYOUT(FLAT()) LIFETIME(1)"
    yield "CREATE FUNCTION away AS x -> x"
    yield f"CREATE NAMED COLLECTION away AS url = '{url}'"
    yield "CREATE USER away IDENTIFIED BY 'x'"
    yield "GRANT ALL ON *.* TO default"
    yield f"INSERT INTO FUNCTION file('{out}/f', 'CSV', 'x String') VALUES ('a')"
    yield f"INSERT INTO TABLE FUNCTION file('{out}/g', 'CSV', 'x String') SELECT 'a'"
    yield f"INSERT INTO /**/ FUNCTION/**/`file`('{out}/h', 'CSV', 'x String') SELECT 'a'"
    yield f"INSERT INTO FUNCTION url('{url}', 'CSV', 'x String') SELECT 'a'"
    yield f"INSERT INTO FUNCTION remote('127.0.0.1:{port}', 'd', 't') SELECT 'a'"
    yield f"INSERT INTO default.`{out}/i.csv` SELECT 1"
    yield f"INSERT INTO s FROM INFILE '{secret}' FORMAT LineAsString"
    yield f"INSERT INTO s SELECT file('{secret}')"
    yield f"INSERT INTO s VALUES (file('{secret}'))"
    yield f"INSERT INTO s SELECT y FROM a JOIN values(concat('y String DEFAULT fi', 'le(''{secret}'')'), (1, ''))"
    yield f"ALTER TABLE s ADD COLUMN y String DEFAULT file('{secret}')"
    yield f"ALTER TABLE s UPDATE x = file('{secret}') WHERE 1"
    yield f"ALTER TABLE s MODIFY SETTING disk = disk(type = web, endpoint = '{url}/')"
    yield f"ALTER TABLE s FREEZE WITH NAME '../../../../../..{out}/z'"
    yield f"ALTER TABLE s FETCH PARTITION 1 FROM '{out}'"
    yield f"BACKUP TABLE s TO File('{out}/backup')"
    yield f"BACKUP DATABASE system TO S3('{url}', 'a', 'b')"
    yield f"RESTORE TABLE s FROM File('{secret.parent}')"
    yield f"ATTACH TABLE away FROM '{secret.parent}' (x String) ENGINE = MergeTree ORDER BY x"
    yield f"ATTACH DATABASE away ENGINE = Filesystem('{secret.parent}')"
    yield "SYSTEM RELOAD CONFIG"
    yield "SYSTEM SHUTDOWN"
    yield "DETACH TABLE s"
    yield "EXECUTE AS default SELECT 1"
