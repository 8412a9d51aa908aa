"""What several kinds of tests share: servers started and ended, apps with plain steps."""
