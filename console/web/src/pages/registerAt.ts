/** The port that register takes unless --grpc says otherwise. */
const usualPort = '9090'

/**
 * registerAt is where agents reach register: what the server says, with the
 * host of this page where it names none.
 */
export function registerAt(address: string, host: string): string {
  if (address === '') return `${host}:${usualPort}`
  return address.startsWith(':') ? host + address : address
}
