// A proxy with Express and http-proxy-middleware: two processes, a keep-alive agent. The guarded one has jsonwebtoken, express-rate-limit,
// pino-http, and counters of prom-client. Express has no HTTP/2.
import cluster from "node:cluster";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import express from "express";
import jwt from "jsonwebtoken";
import pino from "pino-http";
import prometheus from "prom-client";
import { createProxyMiddleware } from "http-proxy-middleware";
import { rateLimit } from "express-rate-limit";

const { BENCH_PLAIN, BENCH_GUARDED, BENCH_TLS, BENCH_UPSTREAM, BENCH_CERTIFICATE, BENCH_KEY, BENCH_SECRET } = process.env;
const proxy = createProxyMiddleware({
  target: `http://${BENCH_UPSTREAM}`,
  xfwd: true,
  agent: new http.Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 256 }),
});

const listen = (server, addr) => {
  const [host, port] = addr.split(":");
  server.keepAliveTimeout = 120_000;
  server.requestTimeout = 0;
  server.listen({ host, port: Number(port), backlog: 4096 });
};

const application = (...middleware) => {
  const app = express();
  app.disable("x-powered-by");
  for (const one of [...middleware, proxy]) app.use(one);
  return app;
};

const took = new prometheus.Histogram({ name: "http_request_seconds", help: "Time of requests.", labelNames: ["method", "status"] });
const count = (request, response, next) => {
  const end = took.startTimer({ method: request.method });
  response.on("finish", () => end({ status: response.statusCode }));
  next();
};

const verify = (request, response, next) => {
  try {
    request.user = jwt.verify((request.headers.authorization ?? "").replace(/^Bearer /, ""), BENCH_SECRET, { algorithms: ["HS256"] });
  } catch {
    return response.status(401).end();
  }
  next();
};

if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  listen(http.createServer(application()), BENCH_PLAIN);
  listen(http.createServer(application(pino(), count, rateLimit({ limit: 1_000_000, windowMs: 1000 }), verify)), BENCH_GUARDED);
  listen(https.createServer({ cert: fs.readFileSync(BENCH_CERTIFICATE), key: fs.readFileSync(BENCH_KEY) }, application()), BENCH_TLS);
}
