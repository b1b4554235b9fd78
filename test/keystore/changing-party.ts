/** Run as a process of its own: changes the keys of a folder, one refresh after the other, until it is killed. */
import { openKeystore, testKey, testSetup } from '../support/stored-keys.js';

const [folder = ''] = process.argv.slice(2);
const keystore = await openKeystore(folder);
const key = testKey();
for (let epoch = 0; ; epoch++) {
  using share = key.share(epoch);
  using setup = testSetup();
  using further = testSetup(['alice', 'bob']);
  const { keyId, shid } = share.sharing;
  keystore.addSharing(share, 'refresh', setup);
  keystore.confirmSharing(keyId, shid);
  keystore.addSetup(keyId, shid, further);
  keystore.keepSetup(keyId, shid, further.info.id);
  // The parent kills this process soon after the first of these.
  if (epoch === 2) process.send!('changing');
}
