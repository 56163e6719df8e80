"""What a program is: pure values and the words that all parts share. Nothing here runs anything or imports a third-party package.

A program's functions and what they return enter (`init`, `update`, steps, commands, subscriptions); values that the runtime performs
leave. Read them in this order:

    program         `Program`, `reducer`, and what a step is
    commands        what a turn wants done, as values; `call_options` how a call is performed
    subscriptions   the inputs that a model wants
    turn            the third argument of update: time, position and chance that a replay repeats
    ports           what the folders ask of each other, and of backends of your own
    errors          every error there is, as one tree
    migrations      how what an older program stored becomes what today's reads; `naming` the names that classes are stored under
    fields          what an object of any kind of class holds
    strict          the guard of a strict program, in a folder of its own

Everything else imports core, and core imports only the standard library and itself.
"""
