# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_spectrum_server_global_optspecs
    string join \n config= set= once h/help V/version
end

function __fish_spectrum_server_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_spectrum_server_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_spectrum_server_using_subcommand
    set -l cmd (__fish_spectrum_server_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -l once -d 'End with exit code 69 if the XMPP server cannot be reached at the first attempt, instead of trying on'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "run" -d 'Run an instance (what happens without a verb)'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "check" -d 'Check a configuration and print what is in force'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "status" -d 'Show how a running instance is'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "users" -d 'List the users with a session'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "backends" -d 'List the backends with their users'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "logout" -d 'End a user\'s session, on the legacy network too'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "admin" -d 'Run a verb of administrators, as in a chat with the transport; without one, list them'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "rotate-key" -d 'Put a new key in front of those that seal passwords in the database'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "completions" -d 'Print a completion script for a shell'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "demo" -d 'Run a server to try on this machine, with no file, no network and no root'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "register" -d 'Store a user\'s credentials for the legacy network (gateway mode)'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "unregister" -d 'Remove a user\'s registration and log the user out (gateway mode)'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "doctor" -d 'Look at the XMPP server and print what is missing in its configuration (gateway mode)'
complete -c spectrum-server -n "__fish_spectrum_server_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand run" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand run" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand run" -l once -d 'End with exit code 69 if the XMPP server cannot be reached at the first attempt, instead of trying on'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand run" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand check" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand check" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand check" -l json -d 'Print JSON instead of lines'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand check" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand status" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand status" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand status" -l json -d 'Print JSON instead of a table'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand status" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand status" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand users" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand users" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand users" -l json -d 'Print JSON instead of a table'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand users" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand users" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand backends" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand backends" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand backends" -l json -d 'Print JSON instead of a table'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand backends" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand backends" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand logout" -l config -d 'The configuration file; USER is then the only argument' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand logout" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand logout" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand logout" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand admin" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand admin" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand rotate-key" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand rotate-key" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand rotate-key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand rotate-key" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand completions" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand completions" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand demo" -l irc -d 'Bridge this IRC server instead of the network in memory; TLS on port 6697 or with --irc-tls' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand demo" -l port -d 'The port for clients (5222, or any that is free)' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand demo" -l irc-tls -d 'Use TLS to the IRC server whatever its port'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand demo" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -l config -d 'The configuration file; USER is then the only argument' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -l username -d 'The user\'s name on the legacy network' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -l field -d 'A further field of the registration form; without =VALUE it is asked for or read from the next line of standard input' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -l no-password -d 'The network needs no password: do not ask for one'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand register" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand unregister" -l config -d 'The configuration file; USER is then the only argument' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand unregister" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand unregister" -s h -l help -d 'Print help'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand unregister" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand doctor" -l config -d 'The same as FILE, for scripts' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand doctor" -l set -d 'Override one key of the file; not for secrets. May be given several times' -r
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand doctor" -l json -d 'Print JSON instead of a table'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "run" -d 'Run an instance (what happens without a verb)'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "check" -d 'Check a configuration and print what is in force'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "status" -d 'Show how a running instance is'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "users" -d 'List the users with a session'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "backends" -d 'List the backends with their users'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "logout" -d 'End a user\'s session, on the legacy network too'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "admin" -d 'Run a verb of administrators, as in a chat with the transport; without one, list them'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "rotate-key" -d 'Put a new key in front of those that seal passwords in the database'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "demo" -d 'Run a server to try on this machine, with no file, no network and no root'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "register" -d 'Store a user\'s credentials for the legacy network (gateway mode)'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "unregister" -d 'Remove a user\'s registration and log the user out (gateway mode)'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "doctor" -d 'Look at the XMPP server and print what is missing in its configuration (gateway mode)'
complete -c spectrum-server -n "__fish_spectrum_server_using_subcommand help; and not __fish_seen_subcommand_from run check status users backends logout admin rotate-key completions demo register unregister doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
