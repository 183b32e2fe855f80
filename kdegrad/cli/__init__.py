"""The command line: `app` runs it, `commands` has the commands, `options` the flags, `terminal` what is said."""
