// A proxy with Fastify: two processes, undici keeps the connections to the upstream. The guarded one has @fastify/jwt, @fastify/rate-limit,
// Fastify's own logger, and counters of prom-client.
import cluster from "node:cluster";
import fs from "node:fs";
import Fastify from "fastify";
import proxy from "@fastify/http-proxy";
import jwt from "@fastify/jwt";
import limit from "@fastify/rate-limit";
import prometheus from "prom-client";

const { BENCH_PLAIN, BENCH_GUARDED, BENCH_TLS, BENCH_UPSTREAM, BENCH_CERTIFICATE, BENCH_KEY, BENCH_SECRET } = process.env;
const keepAliveTimeout = 120_000;
const target = {
  upstream: `http://${BENCH_UPSTREAM}`,
  undici: { connections: 256, pipelining: 1, keepAliveTimeout: 60_000 },
  replyOptions: {
    rewriteRequestHeaders: (request, headers) => ({ ...headers, "x-forwarded-for": request.ip, "x-forwarded-proto": request.protocol }),
  },
};

const listen = (app, addr) => {
  const [host, port] = addr.split(":");
  return app.listen({ host, port: Number(port), backlog: 4096 });
};

async function plain() {
  const app = Fastify({ keepAliveTimeout, bodyLimit: Number.MAX_SAFE_INTEGER });
  await app.register(proxy, target);
  await listen(app, BENCH_PLAIN);
}

async function tls() {
  const https = { cert: fs.readFileSync(BENCH_CERTIFICATE), key: fs.readFileSync(BENCH_KEY), allowHTTP1: true };
  const app = Fastify({ http2: true, https, http2SessionTimeout: keepAliveTimeout });
  await app.register(proxy, target);
  await listen(app, BENCH_TLS);
}

async function guarded() {
  const app = Fastify({ keepAliveTimeout, logger: { level: "info" } });
  const took = new prometheus.Histogram({ name: "http_request_seconds", help: "Time of requests.", labelNames: ["method", "status"] });
  await app.register(limit, { max: 1_000_000, timeWindow: 1000 });
  await app.register(jwt, { secret: BENCH_SECRET });
  app.addHook("onResponse", async (request, reply) => {
    took.observe({ method: request.method, status: reply.statusCode }, reply.elapsedTime / 1000);
  });
  await app.register(proxy, { ...target, preHandler: (request) => request.jwtVerify() });
  await listen(app, BENCH_GUARDED);
}

if (cluster.isPrimary) {
  for (let i = 0; i < 2; i++) cluster.fork();
} else {
  await Promise.all([plain(), guarded(), tls()]);
}
