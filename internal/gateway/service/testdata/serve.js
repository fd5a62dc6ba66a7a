// A small service: node serve.js [--socket PATH], or the port in PORT. It ends at SIGTERM without looking after its requests.
const http = require('node:http')
const at = process.argv.indexOf('--socket')
const server = http.createServer((request, response) => {
  const answer = () => response.end(`${process.env.COLOR || 'node'} ${process.pid}`)
  request.url === '/wait' ? setTimeout(answer, 300) : answer()
})
server.keepAliveTimeout = 60_000
at > 0 ? server.listen(process.argv[at + 1]) : server.listen(process.env.PORT, '127.0.0.1')
server.on('listening', () => console.log('listening'))
