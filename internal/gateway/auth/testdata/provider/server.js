// An OpenID provider with one client, for tests. It prints its address, reads the addresses of the client from stdin (a line with the callback and what
// follows a logout), and prints ready. It takes any name and password.
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'
import { Provider } from 'oidc-provider'

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  console.log(issuer)
  const input = createInterface({ input: process.stdin })
  input.on('close', () => process.exit(0))
  input.once('line', (line) => {
    const [redirect, after] = line.split(' ')
    const provider = new Provider(issuer, {
      clients: [{
        client_id: 'headrace', client_secret: 'a secret of the client, long enough', redirect_uris: [redirect], post_logout_redirect_uris: [after],
        grant_types: ['authorization_code', 'refresh_token'], response_types: ['code'], scope: 'openid profile email offline_access',
      }],
      claims: { openid: ['sub'], profile: ['name', 'groups'], email: ['email'] },
      conformIdTokenClaims: false,
      cookies: { keys: ['keys of the cookies of a test'] },
      pkce: { required: () => true },
      rotateRefreshToken: true,
      ttl: { AccessToken: Number(process.env.ACCESS_TTL ?? 3600), RefreshToken: 86400, Session: 86400, Interaction: 600, Grant: 86400, IdToken: 3600 },
      issueRefreshToken: async () => true,
      findAccount: (_, id) => ({
        accountId: id,
        claims: () => ({ sub: id, name: `The ${id}`, groups: id === 'ann' ? ['staff', 'admin'] : ['guests'], email: `${id}@example.com` }),
      }),
    })
    let refreshed = 0
    provider.on('grant.success', (ctx) => { if (ctx.oidc.params.grant_type === 'refresh_token') refreshed++ })
    const answer = provider.callback()
    server.on('request', (request, response) => request.url === '/refreshed' ? response.end(String(refreshed)) : answer(request, response))
    console.log('ready')
  })
})
