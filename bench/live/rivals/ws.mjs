// The least that one would write with ws: everybody who connects gets every publication. No channels, no protocol, no history.
import http from "node:http";
import jwt from "jsonwebtoken";
import { WebSocketServer } from "ws";

const { BENCH_PORT, BENCH_SECRET } = process.env;

const server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    const publication = Buffer.concat(parts);
    for (const client of sockets.clients) client.send(publication, { binary: false });
    response.end("{}");
  });
});

const sockets = new WebSocketServer({
  server,
  verifyClient({ req }) {
    const token = new URL(req.url, "http://bench").searchParams.get("token");
    try {
      return token === null || Boolean(jwt.verify(token, BENCH_SECRET, { algorithms: ["HS256"] }));
    } catch {
      return false;
    }
  },
});

// As in the README of ws, with the period that the others have by default.
sockets.on("connection", (socket) => {
  socket.alive = true;
  socket.on("error", () => {});
  socket.on("pong", () => (socket.alive = true));
});
setInterval(() => {
  for (const socket of sockets.clients) {
    if (!socket.alive) socket.terminate();
    socket.alive = false;
    socket.ping();
  }
}, 25_000);

server.listen({ port: Number(BENCH_PORT), host: "127.0.0.1", backlog: 4096 });
