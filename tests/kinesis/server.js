// Serve Kinesis on loopback, from memory; the first argument is the port.
const kinesalite = require("kinesalite");
const quick = { createStreamMs: 20, deleteStreamMs: 20, updateStreamMs: 20, shardLimit: 100 };
kinesalite(quick).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("ready"));
