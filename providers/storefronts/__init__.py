"""Where people buy, and senders whose payloads bridge.toml describes."""
