"""A ClickHouse server for one machine: chDB behind the ClickHouse native protocol.

    wire        bytes, varints and strings; packet numbers
    blocks      where a block of the Native format ends, so that its bytes pass through unread
    statements  what a statement needs: streamed rows, the client's data, or neither
    errors      the one place that turns chDB's error text into a code and a message
    engine      chDB: sessions, settings, streaming, inserts
    access      what statements may do: chDB's own grants and constraints of settings
    guard       what these leave open, refused by a statement's words
    confine     what the kernel leaves this process: its data
    users       who may connect
    folder      the data directory
    session     the conversation with one client of the native protocol
    http_session   and with one of HTTP
    watch       notices a client that cancels or goes while its statement runs
    server      listener, threads, shutdown
    __main__    the command

Blocks are not decoded: at protocol revision 54453 a block on the wire is BlockInfo followed by
exactly what chDB's `Native` format reads and writes.
"""
