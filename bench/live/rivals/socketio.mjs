// Socket.IO with its defaults, one room for each channel. BENCH_RECOVER=1 turns on connection state recovery, which costs on every emit.
import http from "node:http";
import jwt from "jsonwebtoken";
import { Server } from "socket.io";

const { BENCH_PORT, BENCH_SECRET, BENCH_RECOVER } = process.env;

const server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
  if (request.url.startsWith("/socket.io")) return; // engine.io answers
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const { channel, data } = JSON.parse(Buffer.concat(parts));
    io.to(channel).emit("pub", data);
    response.end("{}");
  });
});

const io = new Server(server, BENCH_RECOVER ? { connectionStateRecovery: { maxDisconnectionDuration: 120_000 } } : {});
io.use((socket, next) => {
  const { token } = socket.handshake.auth;
  if (token === undefined) return next();
  jwt.verify(token, BENCH_SECRET, { algorithms: ["HS256"] }, (error) => next(error ?? undefined));
});
io.on("connection", (socket) => {
  socket.on("subscribe", (channel, acknowledge) => {
    socket.join(channel);
    acknowledge();
  });
});

server.listen({ port: Number(BENCH_PORT), host: "127.0.0.1", backlog: 4096 });
