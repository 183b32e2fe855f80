"""The command line: `app` runs it, `commands` has the commands, `flags` their options, `terminal` what is said."""
